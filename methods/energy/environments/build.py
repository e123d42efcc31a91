"""From a configuration to an estimator."""

from __future__ import annotations

from torch import Tensor

from ....tasks.errors import MethodError
from ..config import EnvironmentConfig, EstimatorKind
from ..encoders.wrappers import Branch
from ..parts import Estimator
from .cell_features import CellFeatures
from .id_table import IdTable
from .isab import SetTransformer
from .mean import MeanPool
from .moments import MomentPool
from .none import NoEstimator
from .opportunist import Opportunist
from .prototypes import PrototypeKernel
from .quantiles import QuantilePool
from .teacher import Teacher


def build_estimator(
    kind: EstimatorKind,
    config: EnvironmentConfig,
    *,
    latent: int,
    hidden: int,
    n_cells: int,
    observed: Tensor | None = None,
) -> Estimator:
    """The estimator `kind`, of size `config.dim`.

    Args:
        kind: which. config: its options; `branch` concerns estimators that read the rows of a support.
        latent: d. hidden: h. n_cells: training cells, at least 1.
        observed: (n_cells, V) statistics of the training cells; cell features need them.

    Raises:
        MethodError: no training cell, or the statistics are missing or not one row per cell.
    """
    if n_cells < 1:
        raise MethodError(f"An estimator of cells needs at least one training cell, not {n_cells}.")
    size = config.dim
    match kind:
        case EstimatorKind.NONE:
            return NoEstimator(size)
        case EstimatorKind.ID_TABLE:
            return IdTable(n_cells, size, config.unseen)
        case EstimatorKind.TEACHER:
            return Teacher(n_cells, config.prototypes, size)
        case EstimatorKind.OPPORTUNIST:
            return Opportunist(size)
        case EstimatorKind.CELL_FEATURES:
            if observed is None or observed.dim() != 2 or observed.shape[0] != n_cells:
                found = "nothing" if observed is None else f"shape {tuple(observed.shape)}"
                raise MethodError(f"Cell features need statistics of the {n_cells} training cells; got {found}.")
            return CellFeatures(size, observed)
    branch = Branch(hidden, size) if config.branch else None
    features = size if config.branch else latent
    match kind:
        case EstimatorKind.MEAN:
            return MeanPool(size, features, branch)
        case EstimatorKind.MOMENTS:
            return MomentPool(size, features, branch)
        case EstimatorKind.QUANTILES:
            return QuantilePool(size, features, branch)
        case EstimatorKind.ISAB:
            return SetTransformer(size, features, config.inducing, branch)
        case EstimatorKind.PROTOTYPES:
            return PrototypeKernel(
                n_cells,
                config.prototypes,
                size,
                features,
                decay=config.decay,
                tau=config.tau,
                branch=branch,
            )
