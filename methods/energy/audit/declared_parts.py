"""The parts that a configuration declares, and where a live model holds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import nn

from ..config import CouplingKind, EncoderKind, EnergyConfig, EstimatorKind, HeadKind
from ..couplings.additive import Additive
from ..couplings.affine import Affine
from ..couplings.bilinear import Bilinear
from ..couplings.bypass import Bypass
from ..couplings.conditional import Conditional
from ..couplings.film import Film
from ..couplings.gate import Gate
from ..couplings.gate_vector import GateVector
from ..couplings.hill import Hill
from ..couplings.interaction import Interaction
from ..couplings.pair_resistance import PairResistance
from ..couplings.place import Place
from ..couplings.projection import Projection
from ..couplings.saturating import Saturating
from ..couplings.temperature import Temperature
from ..encoders.cached import CachedEncoder
from ..encoders.cross import CrossAttentionEncoder
from ..encoders.features import FeatureEncoder
from ..encoders.heads import FourierEnergyHead, LinearHead
from ..encoders.kmer import KmerEncoder
from ..encoders.prism import PrismEncoder
from ..encoders.wrappers import Bottleneck, Branch, ChromatinHead, LatentMap
from ..environments.cell_features import CellFeatures
from ..environments.id_table import IdTable
from ..environments.isab import SetTransformer
from ..environments.mean import MeanPool
from ..environments.modulator import Modulator
from ..environments.moments import MomentPool
from ..environments.none import NoEstimator
from ..environments.opportunist import Opportunist
from ..environments.posterior import Posterior
from ..environments.prototypes import PrototypeKernel
from ..environments.quantiles import QuantilePool
from ..environments.teacher import Teacher

ENCODERS: dict[EncoderKind, type[nn.Module]] = {
    EncoderKind.FEATURES: FeatureEncoder,
    EncoderKind.KMER: KmerEncoder,
    EncoderKind.PRISM: PrismEncoder,
    EncoderKind.CROSS_ATTENTION: CrossAttentionEncoder,
    EncoderKind.CACHED: CachedEncoder,
}
ESTIMATORS: dict[EstimatorKind, type[nn.Module]] = {
    EstimatorKind.NONE: NoEstimator,
    EstimatorKind.ID_TABLE: IdTable,
    EstimatorKind.MEAN: MeanPool,
    EstimatorKind.MOMENTS: MomentPool,
    EstimatorKind.QUANTILES: QuantilePool,
    EstimatorKind.ISAB: SetTransformer,
    EstimatorKind.PROTOTYPES: PrototypeKernel,
    EstimatorKind.CELL_FEATURES: CellFeatures,
    EstimatorKind.TEACHER: Teacher,
    EstimatorKind.OPPORTUNIST: Opportunist,
}
COUPLINGS: dict[CouplingKind, type[nn.Module]] = {
    CouplingKind.ADDITIVE: Additive,
    CouplingKind.INTERACTION: Interaction,
    CouplingKind.CONDITIONAL: Conditional,
    CouplingKind.GATE: Gate,
    CouplingKind.SATURATING: Saturating,
    CouplingKind.HILL: Hill,
    CouplingKind.AFFINE: Affine,
    CouplingKind.FILM: Film,
    CouplingKind.GATE_VECTOR: GateVector,
    CouplingKind.PAIR_RESISTANCE: PairResistance,
    CouplingKind.BILINEAR: Bilinear,
    CouplingKind.PROJECTION: Projection,
    CouplingKind.BYPASS: Bypass,
}
_HEADS: dict[HeadKind, type[nn.Module]] = {HeadKind.FOURIER: FourierEnergyHead, HeadKind.LINEAR: LinearHead}
_ROWS = {
    EstimatorKind.MEAN,
    EstimatorKind.MOMENTS,
    EstimatorKind.QUANTILES,
    EstimatorKind.ISAB,
    EstimatorKind.PROTOTYPES,
}


class Part(NamedTuple):
    """A declared part: its path in the model, and the class that it must have."""

    path: str
    kind: type[nn.Module]

    def of(self, model: nn.Module) -> nn.Module | None:
        """The live module, None if there is none at that path."""
        found: object = model
        for name in self.path.split("."):
            found = getattr(found, name, None)
        return found if isinstance(found, nn.Module) else None


#: Parts that may only exist where they are declared.
OPTIONAL = ("teacher", "opportunist", "posterior", "chromatin", "place")


def declared_parts(config: EnergyConfig) -> list[Part]:
    """All parts, in the order of a forward."""
    return list(_parts(config))


def _parts(config: EnergyConfig) -> Iterator[Part]:
    encoder, environment = config.encoder, config.environment
    yield Part("encoder", ENCODERS[encoder.kind])
    yield Part("wrapper", Bottleneck if encoder.bottleneck else LatentMap)
    yield Part("head.head", _HEADS[encoder.head])
    if encoder.chromatin:
        yield Part("chromatin", ChromatinHead)
    yield Part("student.estimator", ESTIMATORS[environment.student])
    if environment.branch and environment.student in _ROWS:
        yield Part("student.estimator.branch", Branch)
    yield Part("student.modulator", Modulator)
    if environment.posterior:
        yield Part("posterior", Posterior)
    if environment.teacher is not EstimatorKind.NONE:
        yield Part("teacher.estimator", ESTIMATORS[environment.teacher])
        yield Part("teacher.modulator", Modulator)
    if environment.opportunist:
        yield Part("opportunist.estimator", Opportunist)
        yield Part("opportunist.modulator", Modulator)
    yield Part("temperature", Temperature)
    if config.coupling.kind in (CouplingKind.GATE, CouplingKind.SATURATING, CouplingKind.HILL):
        yield Part("place", Place)
    yield Part("coupling", COUPLINGS[config.coupling.kind])
