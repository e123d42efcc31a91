"""Any scikit-learn classifier from the command line, by its class name:

    epishot run --method epishot.baselines.sklearn_by_name:RandomForestClassifier ...

The attribute after the colon is looked up among scikit-learn's classifiers and becomes a pooled, zero-shot
method on per-cell feature ranks and log10 distance with the classifier's own defaults (`--set` changes them);
with `Raw` appended (`RandomForestClassifierRaw`) it reads the features' own values. The method is called
`sklearn-random-forest-classifier`, or `...-raw`. Classifiers that need an argument, such as a list of other
estimators, cannot be run so; use `SklearnMethod.of` in a file.
"""

from __future__ import annotations

import re

from ..methods.features import Scale
from ..methods.registry import check_method_class
from ..methods.sklearn_adapter import SklearnMethod

_RAW = "Raw"


def __getattr__(name: str) -> type[SklearnMethod]:
    """The method class of the scikit-learn classifier `name`, made on first use.

    Raises:
        AttributeError: scikit-learn has no classifier of that name.
        MethodError: it cannot be made without arguments.
    """
    if name.startswith("_"):
        raise AttributeError(name)  # the import system asks for names such as __path__
    from sklearn.utils import all_estimators

    classifiers = dict(all_estimators(type_filter="classifier"))
    scale = Scale.RANK if name in classifiers else Scale.RAW
    estimator = classifiers.get(name if scale is Scale.RANK else name.removesuffix(_RAW))
    if estimator is None or (scale is Scale.RAW and not name.endswith(_RAW)):
        raise AttributeError(f"scikit-learn has no classifier {name!r}")
    made = SklearnMethod.of(_method_name(name), estimator, scale=scale)
    check_method_class(made)
    # Kept under the name that was asked for: that is where another process looks for the class.
    globals()[name] = made
    return made


def __dir__() -> list[str]:
    """Names of all classifiers, for the hint after a misspelling."""
    from sklearn.utils import all_estimators

    return [*globals(), *(name for name, _ in all_estimators(type_filter="classifier"))]


def _method_name(classifier: str) -> str:
    """`KNeighborsClassifier` becomes `sklearn-k-neighbors-classifier`."""
    return "-".join(
        ["sklearn", *re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", classifier).split()]
    ).lower()
