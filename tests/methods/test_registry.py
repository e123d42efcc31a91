"""Method classes: what is accepted, and how another process finds them again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from epishot.methods import (
    METHODS,
    Method,
    Reads,
    Regime,
    check_method_class,
    find_method,
    method_address,
    register_method,
)
from epishot.tasks.errors import DuplicateNameError, EpishotError, MethodError, UnknownNameError
from epishot.tasks.registry import load_reference

PLUGIN = '''
from epishot.methods import Method, Reads, Regime

class Far(Method):
    """Farther pairs first."""

    name = "far"
    summary = "farther pairs first"
    reads = frozenset({Reads.DISTANCE})
    regimes = frozenset({Regime.NONE})
    deterministic = True

    def fit(self, train, context):
        pass

    def score(self, supports, query, cell_table):
        return query.distance[None, :].repeat(supports.n_episodes, axis=0)
'''


class Complete(Method):
    name = "complete"
    summary = "a complete class"
    reads = frozenset({Reads.DISTANCE})
    regimes = frozenset({Regime.NONE})

    def __init__(self, width=3):
        self.width = width

    def fit(self, train, context):
        pass

    def score(self, supports, query, cell_table):
        return query.distance[None, :]


def variant(**attributes):
    return type("Variant", (Complete,), attributes)


def test_a_complete_class_is_returned_as_it_is():
    assert check_method_class(Complete) is Complete


@pytest.mark.parametrize(
    ("candidate", "finding"),
    [
        (object(), "not a subclass"),
        (int, "not a subclass"),
        (type("NoScore", (Method,), {"name": "x", "fit": lambda s, t, c: None}), "does not implement score"),
        (variant(name="Has Spaces"), "lower-case letters"),
        (variant(name="a/b"), "lower-case letters"),
        (variant(reads={"smell"}), "must be a set of features, sequence"),
        (variant(regimes={"some"}), "must be a set of none, unlabelled, labelled"),
        (variant(regimes=frozenset()), "declare at least one regime"),
        (variant(__init__=lambda self, width: None), "no default for width"),
    ],
)
def test_an_incomplete_class_is_refused_with_the_reason(candidate, finding):
    with pytest.raises(MethodError, match=finding):
        check_method_class(candidate)


def test_a_missing_summary_is_named():
    class Silent(Method):
        name = "silent"
        reads = frozenset({Reads.DISTANCE})
        regimes = frozenset({Regime.NONE})
        fit = score = lambda self, *a: None

    with pytest.raises(MethodError, match="does not declare `summary`"):
        check_method_class(Silent)


def test_registering_twice_is_fine_and_another_class_of_that_name_is_refused():
    try:
        assert register_method(Complete) is Complete
        assert register_method(Complete) is Complete
        assert find_method("complete") is Complete
        with pytest.raises(DuplicateNameError, match="already taken by"):
            register_method(variant())
    finally:
        METHODS._entries.pop("complete", None)


def test_a_built_in_name_cannot_be_taken():
    with pytest.raises(DuplicateNameError, match="'constant' is already taken"):
        register_method(variant(name="constant"))


def test_a_wrong_name_gets_near_names():
    with pytest.raises(UnknownNameError, match="Did you mean 'distance'"):
        find_method("distanse")


def test_a_file_reference_loads_the_class_and_its_address_loads_it_elsewhere(tmp_path):
    file = tmp_path / "far.py"
    file.write_text(PLUGIN)
    cls = find_method(f"{file}:Far")
    assert cls.name == "far"
    assert find_method(f"{file}:Far") is cls
    address = method_address(cls)
    assert address == f"{file.resolve()}:Far"
    code = f"from epishot.methods import find_method; print(find_method({address!r}).summary)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "farther pairs first"


@pytest.mark.parametrize(
    ("reference", "finding"),
    [
        ("{}/none.py:Far", "There is no file"),
        ("{}/far.py:Fra", "Did you mean 'Far'"),
        ("{}/far.py:Reads", "not a subclass"),
        ("{}/bad.py:Far", "SyntaxError"),
    ],
)
def test_a_wrong_file_reference_is_explained(tmp_path, reference, finding):
    (tmp_path / "far.py").write_text(PLUGIN)
    (tmp_path / "bad.py").write_text("class Far(:\n")
    with pytest.raises(EpishotError, match=finding):
        find_method(reference.format(tmp_path))


def test_the_address_of_an_installed_class_is_its_module():
    cls = find_method("constant")
    assert method_address(cls) == "epishot.baselines.controls:Constant"
    assert load_reference(method_address(cls)) is cls


def test_a_class_inside_a_function_has_no_address():
    with pytest.raises(EpishotError, match="move it to the top of a module"):
        method_address(variant())
