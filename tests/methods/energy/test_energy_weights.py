"""Weights come back bit for bit or not at all."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from epishot.methods.energy.config import EnergyConfig
from epishot.methods.energy.weights import load_weights, read_header, save_weights
from epishot.tasks.errors import MethodError

CONFIG = EnergyConfig(reserved_share=0.125)
PROBE = {"x": torch.linspace(-2, 2, 12, dtype=torch.float64).view(4, 3)}


class Net(nn.Module):
    """A layer, a dropout and a buffer whose length is known from the data only."""

    def __init__(self, edges: int, width: int = 3) -> None:
        super().__init__()
        self.linear, self.dropout = nn.Linear(3, width), nn.Dropout(0.5)
        self.register_buffer("edges", torch.rand(edges))
        self.scale = 1.0

    def forward(self, x):
        return self.scale * self.dropout(self.linear(x)).sum(1) + self.edges.sum()


def run(model, probe):
    return model(probe["x"])


def build(config, meta):
    return Net(meta["edges"]).double()


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model, path = Net(5).double(), tmp_path / "model.safetensors"
    save_weights(path, model, CONFIG, {"edges": 5}, PROBE, run)
    return model, path


def _edit(path, change, **facts):
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        metadata = {**file.metadata(), **facts}
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata=metadata)


def test_round_trip_is_bitwise_with_buffers_and_configuration(saved):
    model, path = saved
    assert model.training  # saving answers the probe in evaluation mode and puts the mode back
    loaded = load_weights(path, build, run)
    assert not loaded.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name])
    header = read_header(path)
    assert header.config == CONFIG
    assert header.meta == {"edges": 5}
    assert header.shapes == {"linear.weight": (3, 3), "linear.bias": (3,), "edges": (5,)}
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: t.pop("weights/edges"), "edges is missing"),
        (lambda t: t.update({"weights/extra": torch.ones(1)}), "extra is unexpected"),
        (lambda t: t.update({"weights/edges": torch.ones(6).double()}), r"edges is \(6,\)"),
        (lambda t: t.update({"weights/edges": torch.ones(5)}), "float32 in the file"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(saved, change, named):
    _, path = saved
    _edit(path, change)
    made = []

    def watched(config, meta):
        made.append(build(config, meta))
        made.append({name: value.clone() for name, value in made[0].state_dict().items()})
        return made[0]

    with pytest.raises(MethodError, match=named):
        load_weights(path, watched, run)
    for name, value in made[1].items():
        assert torch.equal(value, made[0].state_dict()[name])


def test_a_buffer_of_another_length_is_refused(saved):
    with pytest.raises(MethodError, match=r"edges is \(5,\) torch.float64 in the file and \(7,\)"):
        load_weights(saved[1], lambda config, meta: Net(7).double(), run)


def test_changed_values_and_changed_code_are_found_by_the_probe(saved):
    _, path = saved

    def other_code(config, meta):
        model = build(config, meta)
        model.scale = 1.0 + 1e-9
        return model

    with pytest.raises(MethodError, match="not the same"):
        load_weights(path, other_code, run)
    with pytest.raises(MethodError, match="another shape"):
        load_weights(path, build, lambda model, probe: run(model, probe)[:2])
    _edit(path, lambda t: t["weights/linear.bias"].add_(1e-9))
    with pytest.raises(MethodError, match="not the same"):
        load_weights(path, build, run)


def test_files_that_are_none_of_ours_are_refused(saved, tmp_path):
    _, path = saved
    with pytest.raises(MethodError, match="cannot be read"):
        load_weights(tmp_path / "none", build, run)
    broken = tmp_path / "broken"
    broken.write_bytes(path.read_bytes()[:100])
    with pytest.raises(MethodError, match="cannot be read"):
        read_header(broken)
    foreign = tmp_path / "foreign"
    save_file({"a": torch.ones(1)}, foreign)
    with pytest.raises(MethodError, match="does not hold weights"):
        read_header(foreign)
    _edit(path, lambda t: None, version="99")
    with pytest.raises(MethodError, match="version 99"):
        read_header(path)


def test_what_cannot_be_saved_leaves_the_old_file(saved):
    model, path = saved
    before = path.read_bytes()
    with pytest.raises(MethodError, match="JSON"):
        save_weights(path, model, CONFIG, {"edges": object()}, PROBE, run)
    with torch.no_grad():
        model.linear.bias.fill_(float("nan"))
    with pytest.raises(MethodError, match="not finite"):
        save_weights(path, model, CONFIG, {"edges": 5}, PROBE, run)
    assert path.read_bytes() == before


def test_tied_weights_are_saved(tmp_path):
    model = Net(5).double()
    model.twin = model.linear
    path = tmp_path / "tied"
    save_weights(path, model, CONFIG, {"edges": 5}, PROBE, run)

    def tied(config, meta):
        twin = build(config, meta)
        twin.twin = twin.linear
        return twin

    assert torch.equal(load_weights(path, tied, run).twin.weight, model.linear.weight)
