"""From configuration to coupling and temperature."""

from __future__ import annotations

from ....tasks.errors import MethodError
from ..config import CouplingConfig, CouplingKind, TemperatureConfig
from ..parts import Coupling
from .additive import Additive
from .affine import Affine
from .bilinear import Bilinear
from .bypass import Bypass
from .conditional import Conditional
from .film import Film
from .gate import Gate
from .gate_vector import GateVector
from .hill import Hill
from .interaction import Interaction
from .pair_resistance import PairResistance
from .projection import Projection
from .saturating import Saturating
from .temperature import Temperature

_WITHOUT_SIGN = {
    CouplingKind.SATURATING: "divides by 1 + R, which R >= 0 keeps positive",
    CouplingKind.HILL: "has a half point K > 0 and no resistance",
    CouplingKind.AFFINE: "has an offset of either sign and no resistance",
    CouplingKind.CONDITIONAL: "has an offset of either sign and no resistance",
}


def build_coupling(config: CouplingConfig, *, latent: int) -> Coupling:
    """The coupling that the configuration names, for latent vectors z of `latent` dimensions.

    Raises:
        MethodError: an option that this coupling does not have.
    """
    kind, signed = config.kind, config.signed
    if signed and kind in _WITHOUT_SIGN:
        raise MethodError(f"The coupling {kind.value!r} {_WITHOUT_SIGN[kind]}; take `signed` out.")
    if config.sign != "free" and kind is not CouplingKind.INTERACTION:
        raise MethodError(f"`sign` is that of the interaction's lambda; the coupling {kind.value!r} has none.")
    if config.form != "blocking" and kind is not CouplingKind.GATE:
        raise MethodError(f"`form` is that of a gate; the coupling {kind.value!r} has none.")
    match kind:
        case CouplingKind.ADDITIVE:
            return Additive(signed=signed)
        case CouplingKind.INTERACTION:
            return Interaction(signed=signed, sign=config.sign)
        case CouplingKind.CONDITIONAL:
            return Conditional()
        case CouplingKind.GATE:
            return Gate(config.form)
        case CouplingKind.SATURATING:
            return Saturating()
        case CouplingKind.HILL:
            return Hill()
        case CouplingKind.AFFINE:
            return Affine()
        case CouplingKind.FILM:
            return Film(latent, config.rank, signed=signed)
        case CouplingKind.GATE_VECTOR:
            return GateVector(latent, config.rank, signed=signed)
        case CouplingKind.PAIR_RESISTANCE:
            return PairResistance(latent, config.rank, signed=signed)
        case CouplingKind.BILINEAR:
            return Bilinear(latent, config.rank, signed=signed)
        case CouplingKind.PROJECTION:
            return Projection(latent, config.rank, signed=signed)
        case CouplingKind.BYPASS:
            return Bypass(latent, config.rank, signed=signed)


def build_temperature(config: TemperatureConfig) -> Temperature:
    """The temperature that the configuration names."""
    return Temperature(config)
