"""scikit-learn classifiers by name."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.special import expit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from epishot.methods import FitContext, PairTable, Scale, TrainTable, find_method, method_address, no_support
from epishot.tasks.errors import EpishotError, MethodError

MODULE = "epishot.baselines.sklearn_by_name"


def test_a_name_after_the_colon_is_a_pooled_method_of_that_classifier() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 3)).astype(np.float32)
    pairs = PairTable(n=200, features=features, distance=10 ** rng.uniform(3, 6, 200))
    label = (features[:, 0] + 0.3 * rng.normal(size=200) > 0).astype(np.int8)
    cls = find_method(f"{MODULE}:KNeighborsClassifierRaw")
    assert (cls.name, cls.scale) == ("sklearn-k-neighbors-classifier-raw", Scale.RAW)
    method = cls(n_neighbors=9)
    method.fit(TrainTable(pairs, label, np.zeros(200, np.int32), 1), FitContext())
    scores = method.score(no_support(pairs), pairs, None)[0]
    design = StandardScaler().fit_transform(np.column_stack([features, np.log10(pairs.distance)]))
    expected = KNeighborsClassifier(n_neighbors=9).fit(design, label).predict_proba(design)[:, 1]
    np.testing.assert_allclose(expit(scores), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("classifier", "name", "deterministic"),
    [
        ("RandomForestClassifier", "sklearn-random-forest-classifier", False),
        ("SVC", "sklearn-svc", False),
        ("GaussianNB", "sklearn-gaussian-nb", True),
        ("KNeighborsClassifier", "sklearn-k-neighbors-classifier", True),
    ],
)
def test_names_and_declarations(classifier: str, name: str, deterministic: bool) -> None:
    cls = find_method(f"{MODULE}:{classifier}")
    assert (cls.name, cls.scale, cls.transductive) == (name, Scale.RANK, True)
    assert cls.deterministic is deterministic
    assert find_method(f"{MODULE}:{classifier}") is cls


def test_another_process_finds_the_class_by_its_address() -> None:
    address = method_address(find_method(f"{MODULE}:GaussianNB"))
    assert address == f"{MODULE}:GaussianNB"
    code = f"from epishot.methods import find_method; print(find_method({address!r}).name)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "sklearn-gaussian-nb"


def test_unknown_names_and_classifiers_with_arguments_are_refused_in_one_sentence() -> None:
    with pytest.raises(EpishotError, match="Did you mean 'RandomForestClassifier'"):
        find_method(f"{MODULE}:RandomForestClasifier")
    with pytest.raises(EpishotError):
        find_method(f"{MODULE}:LinearRegression")
    with pytest.raises(MethodError, match="cannot be made"):
        find_method(f"{MODULE}:VotingClassifier")
