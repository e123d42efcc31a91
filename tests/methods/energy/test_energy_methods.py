"""The energy presets as plugins: every regime, determinism, B0, learning, refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from epishot.methods.base import Balance, FitContext, PairTable, Reads, Regime, Supports, TrainTable, no_support
from epishot.methods.energy import presets
from epishot.methods.energy.method import EnergyMethod
from epishot.methods.energy.parts import Encoded
from epishot.methods.energy.presets import (
    EnergyAdditive,
    EnergyBilinear,
    EnergyCmdn,
    EnergyFilm,
    EnergyIdTable,
    EnergyTeacherStudent,
)
from epishot.tasks.errors import MethodError

PRESETS = [value for value in vars(presets).values() if isinstance(value, type) and issubclass(value, EnergyMethod)]
PRESETS.remove(EnergyMethod)
#: Sizes for tests; budgets of a smoke test, and of one in which something is learned.
SIZES = {
    "encoder": {"width": 24, "latent": 6, "head_width": 9, "channels": 8, "token_embedding": 6},
    "sampler": {"block_rows": 96},
}
BRIEF, LONG = 0.03, 1.0


def _cell(n: int, offset: float, seed: int) -> tuple[PairTable, np.ndarray]:
    """Pairs whose log-odds fall with distance and rise with the first feature, not linearly."""
    rng = np.random.default_rng(seed)
    features = rng.random((n, 4)).astype(np.float32)
    distance = 10 ** rng.uniform(3.5, 6.0, n)
    logit = 4 * (features[:, 0] - 0.5) * (features[:, 1] > 0.4) - 1.5 * (np.log10(distance) - 4.5) + offset
    label = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    pairs = PairTable(
        n=n,
        features=features,
        distance=distance,
        enhancer_sequence=rng.integers(0, 4, (n, 120)).astype(np.uint8),
        promoter_sequence=rng.integers(0, 4, (n, 140)).astype(np.uint8),
        chrom=rng.integers(0, 12, n).astype(np.int32),
        element=rng.integers(0, 100, n).astype(np.int32),
        gene=rng.integers(0, 60, n).astype(np.int32),
    )
    return pairs, label


def _for(preset: type[EnergyMethod], pairs: PairTable) -> PairTable:
    """Only what the method declares, as the runner hands it over."""
    reads = preset.reads
    kept = {"distance": pairs.distance, "chrom": pairs.chrom, "element": pairs.element, "gene": pairs.gene}
    if Reads.FEATURES in reads:
        kept["features"] = pairs.features
    if Reads.SEQUENCE in reads:
        kept |= {"enhancer_sequence": pairs.enhancer_sequence, "promoter_sequence": pairs.promoter_sequence}
    return PairTable(n=pairs.n, **kept)


def _train(preset: type[EnergyMethod], n: int = 700) -> TrainTable:
    cells = [_cell(n, offset, seed) for seed, offset in enumerate((-2.0, -1.0, -1.5))]
    names = [name for name in vars(cells[0][0]) if name != "n" and getattr(cells[0][0], name) is not None]
    joined = {name: np.concatenate([getattr(pairs, name) for pairs, _ in cells]) for name in names}
    return TrainTable(
        pairs=_for(preset, PairTable(n=3 * n, **joined)),
        label=np.concatenate([label for _, label in cells]),
        cell=np.repeat(np.arange(3, dtype=np.int32), n),
        n_cells=3,
    )


def _supports(pairs, label, k, regime, episodes=4, seed=0) -> Supports:
    rng = np.random.default_rng(seed)
    rows = np.stack([rng.permutation(200)[:k] for _ in range(episodes)])
    pool = pairs.take(np.arange(200))
    return Supports(regime, Balance.NATURAL, pool, rows, label[:200][rows] if regime is Regime.LABELLED else None)


HELD = _cell(700, -0.5, 50)
_fitted: dict[tuple[str, float], EnergyMethod] = {}


def fitted(preset: type[EnergyMethod], budget: float = BRIEF) -> EnergyMethod:
    """One fit of each preset serves all tests."""
    key = (preset.name, budget)
    if key not in _fitted:
        method = preset(**SIZES)
        method.fit(_train(preset), FitContext(seed=1, budget=budget))
        _fitted[key] = method
    return _fitted[key]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_regime_and_k_gives_finite_float64_logits(preset):
    method = fitted(preset)
    pairs, label = _for(preset, HELD[0]), HELD[1]
    table = pairs if preset.transductive else None
    query = pairs.take(np.arange(200, 700))
    assert method.score(no_support(pairs), query, table).shape == (1, 500)
    for regime in preset.regimes - {Regime.NONE}:
        for k in (1, 8, 64):
            scores = method.score(_supports(pairs, label, k, regime), query, table)
            assert scores.shape == (4, 500)
            assert scores.dtype == np.float64
            assert np.isfinite(scores).all()
    if Regime.LABELLED in preset.regimes:
        for value in (0, 1):
            one = _supports(pairs, np.full_like(label, value), 16, Regime.LABELLED)
            assert np.isfinite(method.score(one, query, table)).all()


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_ranking_inside_an_episode_with_and_without_environment(preset):
    """A coupling that is increasing in U keeps every ranking; an x-dependent one does not."""
    if Regime.LABELLED not in preset.regimes:
        pytest.skip("reads no support")
    method = fitted(preset)
    with torch.no_grad():  # move the cell side off its start, so that an x-dependent coupling acts
        generator = torch.Generator().manual_seed(0)
        for parameter in [*method.model.student.parameters(), *method.model.coupling.parameters()]:
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
    try:
        pairs, label = _for(preset, HELD[0]), HELD[1]
        table = pairs if preset.transductive else None
        supports = _supports(pairs, label, 64, Regime.LABELLED)
        potential = method.potential(pairs, table)
        slope = method.canonical(supports, table).slope
        alone = average_precision_score(label, potential)
        changes = [
            abs(average_precision_score(label, row) - alone)
            for row, up in zip(method.score(supports, pairs, table), slope > 0, strict=True)
            if up
        ]
        if not method.model.coupling.x_dependent:
            assert changes
            assert max(changes) <= 1e-12
        else:
            assert max(changes) > 1e-9
    finally:
        _fitted.pop((preset.name, BRIEF))


@pytest.mark.parametrize("preset", [EnergyAdditive, EnergyCmdn, EnergyBilinear, EnergyFilm, EnergyTeacherStudent])
def test_it_learns(preset):
    pairs, label = _for(preset, HELD[0]), HELD[1]
    found = []
    for budget in (0.003, LONG):
        method = preset(encoder={"width": 64, "head_width": 17}, sampler={"block_rows": 96})
        method.fit(_train(preset), FitContext(seed=1, budget=budget))
        found.append(average_precision_score(label, method.potential(pairs, pairs)))
    assert found[1] > found[0] + 0.1


@pytest.mark.parametrize("preset", [EnergyAdditive, EnergyCmdn, EnergyTeacherStudent])
def test_the_share_of_positives_in_a_labelled_support_moves_the_offset(preset):
    pairs, label = _for(preset, HELD[0]), HELD[1]
    positive, negative = np.flatnonzero(label == 1), np.flatnonzero(label == 0)
    rows = np.stack([np.concatenate([positive[:n], negative[: 64 - n]]) for n in (0, 8, 16, 32, 64)])
    supports = Supports(Regime.LABELLED, Balance.NATURAL, pairs, rows, label[rows])
    offset = fitted(preset, LONG).canonical(supports, pairs).offset
    assert (np.diff(offset) > 0.0).all()
    assert offset[-1] - offset[0] > 0.5


def test_the_scalar_form_is_the_canonical_one():
    for preset in (EnergyAdditive, EnergyCmdn):
        method = fitted(preset, LONG)
        pairs, label = _for(preset, HELD[0]), HELD[1]
        supports = _supports(pairs, label, 64, Regime.LABELLED)
        slope, offset = method.canonical(supports, pairs)
        expected = slope[:, None] * method.potential(pairs, pairs) + offset[:, None]
        np.testing.assert_allclose(method.score(supports, pairs, pairs), expected, atol=1e-10)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_order_of_support_and_query_is_irrelevant(preset):
    method = fitted(preset)
    pairs, label = _for(preset, HELD[0]), HELD[1]
    table = pairs if preset.transductive else None
    supports = no_support(pairs)
    if Regime.LABELLED in preset.regimes:
        supports = _supports(pairs, label, 32, Regime.LABELLED)
    query = pairs.take(np.arange(300, 600))
    scores = method.score(supports, query, table)
    order = np.random.default_rng(0).permutation(300)
    backwards = None if supports.label is None else supports.label[:, ::-1]
    shuffled = Supports(supports.regime, supports.balance, supports.pool, supports.rows[:, ::-1], backwards)
    other = None if table is None else pairs.take(np.random.default_rng(1).permutation(700))
    again = method.score(shuffled, query.take(order), other)
    np.testing.assert_allclose(again, scores[:, order], rtol=0, atol=1e-9)


@pytest.mark.parametrize("preset", [EnergyAdditive, EnergyFilm, EnergyTeacherStudent, presets.EnergyPrism])
def test_equal_seeds_give_equal_scores_and_leave_torch_alone(preset):
    pairs = _for(preset, HELD[0])
    table = pairs if preset.transductive else None
    torch.manual_seed(11)
    expected_next = torch.rand(3, generator=torch.Generator().manual_seed(11))
    scores = []
    for seed in (5, 5, 6):
        method = preset(**SIZES)
        method.fit(_train(preset, 200), FitContext(seed=seed, budget=0.01))
        scores.append(method.score(no_support(pairs), pairs, table))
    np.testing.assert_array_equal(scores[0], scores[1])
    assert np.abs(scores[0] - scores[2]).max() > 1e-3
    torch.testing.assert_close(torch.rand(3), expected_next)


def test_scoring_does_not_change_the_method():
    for preset in (EnergyAdditive, EnergyFilm, EnergyTeacherStudent):
        method = fitted(preset)
        pairs, label = _for(preset, HELD[0]), HELD[1]
        supports = _supports(pairs, label, 16, Regime.LABELLED)
        first = method.score(supports, pairs, pairs)
        method.score(no_support(pairs), pairs, pairs)
        np.testing.assert_array_equal(method.score(supports, pairs, pairs), first)


def test_one_energy_in_training_and_inference():
    """The logit of a training row is the coupling of its U with its cell's parameters, in either use."""
    method = fitted(EnergyAdditive, LONG)
    train = _train(EnergyAdditive)
    logits = method.score_training(train)
    potential = np.concatenate([method.potential(train.of_cell(c).pairs, train.of_cell(c).pairs) for c in range(3)])
    for code in range(3):
        rows = train.cell == code
        difference = logits[rows] * method.model.temperature(None).item() - potential[rows]
        assert np.ptp(difference) < 1e-9  # one resistance for the whole cell
        assert difference[0] <= 0


def test_an_unseen_cell_is_refused_by_what_knows_cells_by_id():
    method = EnergyIdTable(environment={"unseen": "raise"}, **SIZES)
    method.fit(_train(EnergyIdTable, 200), FitContext(budget=0.01))
    pairs = _for(EnergyIdTable, HELD[0])
    with pytest.raises(MethodError, match=r"unseen|training cells"):
        method.score(no_support(pairs), pairs, pairs)
    assert {p.name for p in PRESETS if p(**SIZES)._config.environment.unseen.value == "mean"} == {"energy-id-table"}


def test_missing_columns_and_distances_are_served():
    train = _train(EnergyAdditive)
    pairs, _ = HELD
    bare = TrainTable(PairTable(n=train.pairs.n, distance=train.pairs.distance), train.label, train.cell, train.n_cells)
    distance = pairs.distance.copy()
    distance[:20] = np.nan
    method = EnergyAdditive(**SIZES)
    method.fit(bare, FitContext(budget=0.01))
    table = PairTable(n=pairs.n, distance=distance)
    assert np.isfinite(method.score(no_support(table), table, table)).all()
    with pytest.raises(MethodError, match="sequence"):
        presets.EnergyPrism(**SIZES).fit(bare, FitContext(budget=0.01))


def test_configuration_round_trip_and_refusals():
    method = EnergyBilinear(coupling={"rank": 8}, encoder={"dropout": 0.1})
    config = json.loads(json.dumps(method.config()))
    assert config["coupling"] == {**config["coupling"], "rank": 8, "kind": "bilinear"}
    assert EnergyBilinear(**config).config() == method.config()
    for options, message in (
        ({"environment": {"fusion": 1.5}}, r"option 'environment.fusion'.*less than or equal to 1"),
        ({"encoder": {"widht": 3}}, r"option 'encoder.widht': is not an option; choose from .*width"),
        ({"temperature": {"low": 3.0}}, r"needs low <= start <= high"),
        ({"temperature": {"kind": "gamma"}}, r"defined by the loss 'gamma_prior'"),
        ({"environment": {"student": "teacher"}}, r"an unseen cell is read by the student alone"),
        ({"losses": {"pull": {"weight": 1.0}}}, r"'pull' needs an opportunist"),
        ({"encoder": {"kind": "cached"}}, r"needs `encoder.cache`"),
        ({"encoder": {"kind": "prism"}}, r"does not read sequence"),
    ):
        with pytest.raises(MethodError, match=message):
            EnergyAdditive(**options)
    with pytest.raises(MethodError, match=r"not identifiable"):
        EnergyCmdn(temperature={"kind": "per_cell"})
    with pytest.raises(MethodError, match=r"before it was fitted"):
        EnergyAdditive().score(no_support(HELD[0]), HELD[0], HELD[0])


def test_a_loss_without_its_cells_is_refused_before_training():
    method = EnergyAdditive(
        losses={"hsic": {"weight": 0.1}}, sampler={"kind": "cell_batch"}, **{"encoder": SIZES["encoder"]}
    )
    with pytest.raises(MethodError, match=r"hsic.*block_meta"):
        method.fit(_train(EnergyAdditive, 200), FitContext(budget=0.01))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_saved_weights_score_the_same_in_another_object(preset, tmp_path):
    method, twin = fitted(preset), preset(**SIZES)
    path = tmp_path / "weights.safetensors"
    method.save(path)
    twin.load(path)
    pairs, label = _for(preset, HELD[0]), HELD[1]
    table = pairs if preset.transductive else None
    supports = no_support(pairs)
    if Regime.LABELLED in preset.regimes:
        supports = _supports(pairs, label, 16, Regime.LABELLED)
    np.testing.assert_array_equal(twin.score(supports, pairs, table), method.score(supports, pairs, table))


def test_weights_of_another_configuration_or_damaged_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    fitted(EnergyAdditive).save(path)
    with pytest.raises(MethodError, match="another method or configuration"):
        EnergyCmdn(**SIZES).load(path)
    with pytest.raises(MethodError, match="another method or configuration"):
        EnergyAdditive(**{**SIZES, "reserved_share": 0.2}).load(path)
    with pytest.raises(MethodError, match=r"before it was fitted"):
        EnergyAdditive().save(path)


def test_the_readout_of_u_alone_is_the_potential():
    method = EnergyBilinear(readout="potential", **SIZES)
    method.fit(_train(EnergyBilinear, 200), FitContext(seed=1, budget=BRIEF))
    pairs, label = _for(EnergyBilinear, HELD[0]), HELD[1]
    scores = method.score(_supports(pairs, label, 16, Regime.LABELLED), pairs, pairs)
    np.testing.assert_array_equal(scores, np.broadcast_to(method.potential(pairs, pairs), scores.shape))


def test_early_stopping_brings_back_the_best_weights_on_a_training_cell():
    options = {**SIZES, "stopping": {"cells": 1, "every": 5, "patience": 2}, "optimiser": {"learning_rate": 0.2}}
    method = EnergyAdditive(**options)
    method.fit(_train(EnergyAdditive), FitContext(seed=1, budget=0.3))
    wild = EnergyAdditive(**{**options, "stopping": {"cells": 0}})
    wild.fit(_train(EnergyAdditive), FitContext(seed=1, budget=0.3))
    pairs, label = _for(EnergyAdditive, HELD[0]), HELD[1]
    # At this rate training falls apart; the weights before it did are kept, the last ones are not.
    assert average_precision_score(label, method.potential(pairs, pairs)) > label.mean()
    assert np.abs(method.potential(pairs, pairs) - wild.potential(pairs, pairs)).max() > 1e-3
    with pytest.raises(MethodError, match=r"stopping.cells"):
        EnergyAdditive(**{**options, "stopping": {"cells": 3}}).fit(
            _train(EnergyAdditive, 200), FitContext(budget=0.01)
        )


def test_canonical_forms_speak_of_u_whatever_its_place_on_the_gate():
    for preset in (presets.EnergyHill, presets.EnergyGate, presets.EnergySaturating):
        method = fitted(preset)
        pairs, label = _for(preset, HELD[0]), HELD[1]
        supports = _supports(pairs, label, 32, Regime.LABELLED)
        place = method.model.place
        before = place.origin.clone(), place.raw_scale.clone()
        with torch.no_grad():
            place.origin += 1.0
            place.raw_scale += 1.0
            environment = method._read(supports, pairs)
            nodes, weights = np.polynomial.hermite_e.hermegauss(80)
            weights = weights / weights.sum()
            grid = torch.from_numpy(nodes)
            logits = method.model.logits(Encoded(grid, grid, grid), environment).numpy()
            slope, offset = method.canonical(supports, pairs)
            place.origin.copy_(before[0])
            place.raw_scale.copy_(before[1])
        np.testing.assert_allclose(slope, logits @ (weights * nodes), atol=1e-5)
        np.testing.assert_allclose(offset, logits @ weights, atol=1e-5)
