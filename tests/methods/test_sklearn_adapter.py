"""Any scikit-learn classifier as a method in one line."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import rankdata
from sklearn.decomposition import PCA
from sklearn.ensemble import AdaBoostClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from epishot.methods import (
    FitContext,
    PairTable,
    Scale,
    SklearnMethod,
    TrainTable,
    find_method,
    method_address,
    no_support,
)
from epishot.methods.check import Status, run_checks
from epishot.tasks.errors import MethodError

Knn = SklearnMethod.of("knn", KNeighborsClassifier, n_neighbors=15)
RawLogistic = SklearnMethod.of("raw-logistic", LogisticRegression, scale=Scale.RAW, random_state=0)
Forest = SklearnMethod.of("forest", RandomForestClassifier, n_estimators=5, scale="raw")
PcaLogistic = SklearnMethod.of("pca-logistic", make_pipeline(PCA(2), LogisticRegression(C=0.5)))
Bayes = SklearnMethod.of("bayes", GaussianNB, scale=Scale.RAW)
Margin = SklearnMethod.of("margin", LinearSVC, scale=Scale.RAW, random_state=0)
Boost = SklearnMethod.of("boost", AdaBoostClassifier, scale=Scale.RAW, random_state=0)


def problem(n=240, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.gamma(2.0, size=(n, 4)).astype(np.float32)
    distance = 10 ** rng.uniform(3, 6, n)
    label = (features[:, 0] - np.log10(distance) / 2 + rng.normal(size=n) > -0.5).astype(np.int8)
    pairs = PairTable(n=n, features=features, distance=distance)
    return TrainTable(pairs, label, (np.arange(n) % 3).astype(np.int32), 3)


def fitted(cls, train, seed=0, **parameters):
    method = cls(**parameters)
    method.fit(train, FitContext(seed=seed))
    return method


def scores_of(method, pairs):
    return method.score(no_support(pairs), pairs, pairs if method.transductive else None)


def test_one_line_makes_a_complete_method():
    assert (Knn.name, Knn.__name__, Knn.transductive, Knn.logits) == ("knn", "Knn", True, True)
    assert "KNeighborsClassifier" in Knn.summary
    assert Knn().config()["n_neighbors"] == 15
    assert Knn(n_neighbors=3).config()["n_neighbors"] == 3
    assert not RawLogistic.transductive
    json.dumps(PcaLogistic().config(), allow_nan=False)
    assert PcaLogistic().config()["logisticregression__C"] == 0.5


def test_scores_are_those_of_the_classifier_on_ranks_and_log_distance():
    train, query = problem(), problem(90, seed=1).pairs

    def prepared(pairs, cells):
        ranks = np.empty(pairs.features.shape)
        for cell in np.unique(cells):
            rows = cells == cell
            ranks[rows] = rankdata(pairs.features[rows], axis=0) / rows.sum()
        return np.column_stack([ranks, np.log10(pairs.distance)])

    design = prepared(train.pairs, train.cell)
    scaler = StandardScaler().fit(design)
    reference = LogisticRegression(C=2.0).fit(scaler.transform(design), train.label)
    expected = reference.decision_function(scaler.transform(prepared(query, np.zeros(query.n))))

    ranked = SklearnMethod.of("ranked", LogisticRegression, C=2.0)
    assert np.allclose(scores_of(fitted(ranked, train), query)[0], expected, atol=1e-3)


def test_one_row_of_scores_serves_every_support():
    train = problem()
    pairs = train.pairs
    supports = no_support(pairs)
    many = type(supports)(supports.regime, supports.balance, supports.pool, np.empty((5, 0), np.int64))
    scores = fitted(RawLogistic, train).score(many, pairs, None)
    assert scores.shape == (5, pairs.n)
    assert np.array_equal(scores[0], scores[4])


def test_logits_of_a_forest_are_log_odds_and_finite_at_zero_and_one():
    train = problem()
    method = fitted(Forest, train)
    probability = method._estimator.predict_proba(method._standardiser(method._matrix.of_cell(train.pairs, None)))[:, 1]
    scores = scores_of(method, train.pairs)[0]
    assert {0.0, 1.0} <= set(probability.tolist())
    assert np.isfinite(scores).all()
    inside = (probability > 0) & (probability < 1)
    assert np.allclose(scores[inside], logit(probability[inside]))
    assert scores[probability == 0].max() < scores[inside].min()
    assert scores[probability == 1].min() > scores[inside].max()


def test_saturated_probabilities_tie_no_pairs():
    train = problem()
    far = PairTable(n=3, features=np.array([[0] * 4, [400] * 4, [500] * 4], np.float32), distance=np.full(3, 1e4))
    method = fitted(Bayes, train)
    prepared = method._standardiser(method._matrix.of_cell(far, None))
    probability = method._estimator.predict_proba(prepared)[:, 1]
    assert probability[1] == probability[2]
    scores = scores_of(method, far)[0]
    assert np.isfinite(scores).all()
    assert scores[1] != scores[2]


def test_a_decision_function_that_is_no_log_odds_is_not_taken_for_one():
    train = problem()
    method = fitted(Boost, train)
    prepared = method._standardiser(method._matrix.of_cell(train.pairs, None))
    probability = method._estimator.predict_proba(prepared)[:, 1]
    assert np.allclose(scores_of(method, train.pairs)[0], logit(probability))


def test_margins_are_scores_but_not_logits():
    assert not Margin.logits
    assert scores_of(fitted(Margin, problem()), problem().pairs).shape == (1, 240)


def test_the_seed_reaches_an_open_random_state_only():
    train = problem()
    assert not Forest.deterministic
    assert RawLogistic.deterministic
    assert Knn.deterministic
    first, again, other = (scores_of(fitted(Forest, train, seed=s), train.pairs) for s in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_missing_values_reach_only_estimators_that_take_them():
    train = problem()
    holed = train.pairs.features.copy()
    holed[::5, 1] = np.nan
    pairs = PairTable(n=train.pairs.n, features=holed, distance=train.pairs.distance)
    train = TrainTable(pairs, train.label, train.cell, 3)
    for cls in (Knn, RawLogistic, Bayes):
        assert np.isfinite(scores_of(fitted(cls, train), pairs)).all()

    class Unscaled(Bayes):
        standardise = False

    method = fitted(Unscaled, train)
    filled = np.where(np.isnan(holed), np.nanmean(holed, axis=0), holed)
    expected = GaussianNB().fit(np.column_stack([filled, np.log10(pairs.distance)]).astype(np.float64), train.label)
    assert np.allclose(method._estimator.theta_, expected.theta_, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "finding"),
    [
        (lambda: SklearnMethod.of("line", LinearRegression), "not a scikit-learn classifier"),
        (lambda: SklearnMethod.of("knn", KNeighborsClassifier, neighbours=3), "neighbours"),
        (lambda: SklearnMethod.of("knn", KNeighborsClassifier(), neighbours=3), "neighbours"),
        (lambda: Knn(neighbours=3), "'knn' cannot be configured.*neighbours"),
    ],
)
def test_mistakes_are_explained(make, finding):
    with pytest.raises(MethodError, match=finding):
        make()


def test_one_class_of_training_labels_is_refused():
    train = problem()
    with pytest.raises(MethodError, match="both classes"):
        fitted(Knn, TrainTable(train.pairs, np.zeros(240, np.int8), train.cell, 3))


def test_a_fitted_method_survives_pickling():
    train = problem()
    method = fitted(Knn, train)
    again = pickle.loads(pickle.dumps(method))
    assert np.array_equal(scores_of(method, train.pairs), scores_of(again, train.pairs))


def test_a_fresh_process_finds_the_class_by_its_variable(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from sklearn.neighbors import KNeighborsClassifier\n"
        "from epishot.methods import SklearnMethod\n"
        "MyNeighbours = SklearnMethod.of('knn-7', KNeighborsClassifier, n_neighbors=7)\n"
    )
    cls = find_method(f"{file}:MyNeighbours")
    address = method_address(cls)
    assert address.endswith("mine.py:MyNeighbours")
    code = f"from epishot.methods import find_method; print(find_method({address!r})().config()['n_neighbors'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "7"


@pytest.mark.parametrize("cls", [Knn, Forest, PcaLogistic, Margin])
def test_adapted_classifiers_keep_the_contract(cls):
    failed = [result for result in run_checks(cls) if result.status is Status.FAIL]
    assert failed == []
