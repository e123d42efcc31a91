"""The temperature: its kinds, its bounds, its way back from a bound."""

from __future__ import annotations

import pytest
import torch

from epishot.methods.energy.config import TemperatureConfig, TemperatureKind
from epishot.methods.energy.couplings.build import build_temperature
from epishot.tasks.errors import MethodError

SHARED = [TemperatureKind.GLOBAL, TemperatureKind.GAMMA, TemperatureKind.ENTROPY]


def test_a_fixed_temperature_has_nothing_to_learn():
    temperature = build_temperature(TemperatureConfig(kind="fixed", start=1.4))
    assert temperature().item() == pytest.approx(1.4)
    assert temperature().shape == ()
    assert not list(temperature.parameters())
    assert temperature.extra == 0
    assert temperature.default().shape == (0,)
    temperature.project()
    assert temperature.double()().dtype == torch.float64


@pytest.mark.parametrize("kind", SHARED)
def test_a_shared_temperature_stays_in_its_bounds_and_can_come_back(kind):
    temperature = build_temperature(TemperatureConfig(kind=kind))
    assert temperature().item() == pytest.approx(1.0)
    assert temperature.extra == 0
    optimiser = torch.optim.SGD(temperature.parameters(), lr=1.0)
    for sign, bound in ((1.0, 0.5), (-1.0, 2.0)):
        for _ in range(50):
            optimiser.zero_grad()
            (sign * temperature()).backward()
            assert temperature.raw.grad.abs() > 0
            optimiser.step()
            temperature.project()
            assert 0.5 <= temperature().item() <= 2.0
        assert temperature().item() == pytest.approx(bound, abs=1e-6)


@pytest.mark.parametrize("start", [0.5, 0.9, 1.0, 1.7, 2.0])
def test_a_temperature_of_each_cell_starts_right_and_stays_inside(start):
    temperature = build_temperature(TemperatureConfig(kind="per_cell", start=start))
    assert temperature.extra == 1
    assert not list(temperature.parameters())
    assert temperature(temperature.default().unsqueeze(1)).item() == pytest.approx(start, rel=0.02)
    raw = torch.tensor([[-80.0], [-1.0], [0.0], [1.0], [80.0]], dtype=torch.float64)
    values = temperature(raw)
    assert values.shape == (5, 1)
    assert (values.diff(dim=0) > 0).all()
    assert values[0].item() == pytest.approx(0.5)
    assert values[-1].item() == pytest.approx(2.0)
    assert values[2].item() == pytest.approx(1.0)


def test_a_temperature_of_each_cell_needs_the_cells():
    with pytest.raises(MethodError, match="each cell's own needs the cells' raw parameters"):
        build_temperature(TemperatureConfig(kind="per_cell"))()


def test_impossible_bounds_are_refused():
    broken = TemperatureConfig.model_construct(kind=TemperatureKind.GLOBAL, low=2.0, start=1.0, high=0.5)
    with pytest.raises(MethodError, match="0 < low <= start <= high"):
        build_temperature(broken)
    with pytest.raises(MethodError, match="needs low < high"):
        build_temperature(TemperatureConfig(kind="per_cell", low=1.0, high=1.0))
