"""Networks train and score on whatever device there is, and their tensors meet on one device only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
import torch

from epishot.baselines.domain_generalisation import DomainGeneralisation
from epishot.baselines.episodic import EpisodicLearner
from epishot.baselines.maml import Maml
from epishot.baselines.prototypical import PrototypicalNetwork
from epishot.benchmark.suites import ENERGY_ON_FEATURES, ENERGY_ON_SEQUENCE, LEARNED_BASELINES
from epishot.benchmark.support_tables import support_table
from epishot.methods import device as device_module
from epishot.methods.base import Balance, Method, Regime
from epishot.methods.device import VARIABLE, device
from epishot.methods.energy.method import EnergyMethod
from epishot.methods.registry import METHODS as REGISTRY_OF_METHODS
from epishot.methods.registry import find_method
from epishot.methods.tables import cell_table, fit_context, pair_table, train_table
from epishot.tasks.catalog import load_task
from epishot.tasks.episodes import EpisodeSet
from epishot.tasks.errors import MethodError
from epishot.tasks.splits import cell_splits

from .pretend import DEVICE, PretendDevice

METHODS = (
    *ENERGY_ON_FEATURES,
    *ENERGY_ON_SEQUENCE,
    *(name for name in LEARNED_BASELINES if not name.startswith("pooled")),
)


@pytest.fixture
def no_fused_optimiser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fused steps know the devices by name."""
    adamw = torch.optim.AdamW
    monkeypatch.setattr(torch.optim, "AdamW", lambda *args, **options: adamw(*args, **{**options, "fused": False}))
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", partial(torch.nn.utils.clip_grad_norm_, foreach=False))


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The chosen device is the pretended one."""
    chosen = device_module.device
    for module in list(sys.modules.values()):
        if getattr(module, "device", None) is chosen:
            monkeypatch.setattr(module, "device", lambda: DEVICE)
    swap = torch.__future__.get_swap_module_params_on_conversion()
    # Otherwise a module that is moved keeps the parameter and changes what is in it, which a pretended one cannot.
    torch.__future__.set_swap_module_params_on_conversion(True)
    with PretendDevice():
        yield
    torch.__future__.set_swap_module_params_on_conversion(swap)


def scores(cls: type[Method]) -> list[np.ndarray]:
    """Of one split of `synthetic` after a few steps, for k = 0 and k = 16, natural and balanced."""
    task = load_task("synthetic")
    episodes = EpisodeSet.build(task, "cell", [0, 16], 2)
    split, reads = episodes.splits[0], cls.capabilities().reads
    method = cls()
    method.fit(train_table(task, split.train_rows, reads), fit_context(task, budget=0.01))
    query, whole = pair_table(task, split.query_rows, reads), cell_table(task, task.cell_rows(split.cell), reads)
    found = []
    for k, balance in ((0, Balance.NATURAL), (16, Balance.NATURAL), (16, Balance.BALANCED)):
        regime = Regime.LABELLED if k else Regime.NONE
        if regime not in cls.regimes:
            continue
        rows = episodes.support_rows(split.cell, split.fold, balance.value, k)
        supports = support_table(task, rows, regime, balance, reads)
        found.append(np.array(method.score(supports, query, whole)))
    return found


@pytest.mark.parametrize("name", METHODS)
def test_a_method_computes_the_same_on_another_device(
    name: str, no_fused_optimiser, request: pytest.FixtureRequest
) -> None:
    cls = find_method(name)
    expected = scores(cls)
    request.getfixturevalue("elsewhere")
    for here, there in zip(expected, scores(cls), strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_a_gpu_gives_the_scores_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in METHODS:
        found = {}
        for wanted in ("cuda", "cpu"):
            monkeypatch.setenv(VARIABLE, wanted)
            found[wanted] = scores(find_method(name))
        for gpu, cpu in zip(*found.values(), strict=True):
            np.testing.assert_allclose(gpu, cpu, rtol=1e-3, atol=1e-3, err_msg=name)


def test_the_pretended_device_notices_a_tensor_that_was_left_behind() -> None:
    with PretendDevice():
        there = torch.ones(2, 2).to(DEVICE)
        assert torch.equal((there @ there).cpu(), 2 * torch.ones(2, 2))
        with pytest.raises(RuntimeError, match="two devices"):
            there @ torch.ones(2, 2)


def test_the_device_is_the_gpu_if_there_is_one_and_may_be_overruled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert device() == torch.device("cuda")
    monkeypatch.setenv(VARIABLE, "cpu")
    assert device() == torch.device("cpu")
    for wrong in ("gpu", "meta", "cuda:99"):
        monkeypatch.setenv(VARIABLE, wrong)
        with pytest.raises(MethodError, match=VARIABLE):
            device()


def test_every_network_is_tested() -> None:
    """Every registered method that has a `fit` of its own on torch, learn2learn's excepted, which may be absent."""
    networks = (EnergyMethod, EpisodicLearner, PrototypicalNetwork, Maml, DomainGeneralisation)
    found = {name for name in REGISTRY_OF_METHODS.names() if issubclass(find_method(name), networks)}
    assert found - {"maml-learn2learn"} == set(METHODS)


@pytest.mark.parametrize("name", ["energy-additive", "energy-prism", "energy-cmdn"])
def test_weights_loaded_on_another_device_score_there(name: str, request: pytest.FixtureRequest, tmp_path) -> None:
    cls = find_method(name)
    task = load_task("synthetic")
    split, reads = next(iter(cell_splits(task, "cell"))), cls.capabilities().reads
    train, query = train_table(task, split.train_rows, reads), pair_table(task, split.query_rows, reads)
    whole = cell_table(task, task.cell_rows(split.cell), reads)
    made, loaded = cls(), cls()
    made.fit(train, fit_context(task, budget=0.01))
    made.save(tmp_path / "weights.safetensors")
    expected = made.potential(query, whole), made.score_training(train)
    request.getfixturevalue("elsewhere")
    loaded.load(tmp_path / "weights.safetensors")
    for here, there in zip(expected, (loaded.potential(query, whole), loaded.score_training(train)), strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-6, atol=1e-8)
