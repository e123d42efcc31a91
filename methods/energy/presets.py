"""The named energy methods: each is a configuration of the same parts."""

from __future__ import annotations

from .config import CouplingKind
from .method import EnergyMethod


class EnergyAdditive(EnergyMethod):
    """logit = (U - R) / T: the environment shifts every pair of a cell alike.

    The ranking inside a cell is that of U; the support moves offset and calibration only.
    """

    name = "energy-additive"
    summary = "(U - R) / T: Fourier-KAN potential, student resistance R >= 0 taught by an id-teacher"
    coupling = CouplingKind.ADDITIVE


class EnergyBilinear(EnergyMethod):
    """logit = (U + phi(z)' W e - R) / T: a low-rank interaction of pair and cell.

    The smallest coupling by which a support can change the ranking inside a cell.
    """

    name = "energy-bilinear"
    summary = "(U + z' W e - R) / T: energy-additive plus a low-rank interaction of pair and environment"
    coupling = CouplingKind.BILINEAR
