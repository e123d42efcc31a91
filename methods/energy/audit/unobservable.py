"""Known failures that one audited fit cannot show, and why."""

from __future__ import annotations

from collections.abc import Mapping

#: Name of the verdict and the reason, one sentence each.
UNOBSERVABLE: Mapping[str, str] = {
    "J7-product-leak": "any slope of the cell's own carries the cell into the prediction, as it should; what leaks "
    "unduly shows in J1, J8 and cell-blind.",
    "J30-assay-confounding": "a training table does not say which assay a pair comes from; the task's card does.",
    "J35-tuned-threshold": "a method returns logits and no threshold; the evaluator sets thresholds, never per cell "
    "on test labels.",
    "J36-duplicated-results": "one fit has nothing to be a duplicate of; the run store names results by the hash of "
    "everything that determines them.",
}
