"""Which column of a prediction file means what: common names are recognised, any other is mapped by hand."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

from ..tasks.errors import EpishotError

#: Names by meaning, as letters and digits in lower case. An earlier group outranks a later one, so that
#: `enhancer_start` is taken rather than a bare `start`.
ALIASES: dict[str, tuple[frozenset[str], ...]] = {
    "score": (
        frozenset(
            {"score", "pred", "preds", "prediction", "predictions", "predicted", "prob", "probability", "predscore"}
            | {"predictionscore", "predictedscore", "ypred", "yscore", "yhat", "yprob", "logit", "logits", "abcscore"}
            | {"e2gscore", "encodere2gscore"}
        ),
    ),
    "pair_id": (frozenset({"pairid", "epid", "eppairid"}),),
    "cell": (frozenset({"cell", "celltype", "cellline", "cellname", "biosample"}),),
    "chrom": (frozenset({"enhancerchrom", "enhancerchr", "enhchrom", "enhchr"}), frozenset({"chrom", "chr"})),
    "start": (frozenset({"enhancerstart", "enhstart"}), frozenset({"start", "chromstart"})),
    "end": (frozenset({"enhancerend", "enhend"}), frozenset({"end", "chromend"})),
    "enhancer_id": (frozenset({"enhancerid", "enhid", "ccre", "ccreid", "elementid"}),),
    "enhancer_name": (frozenset({"enhancername", "enhname"}), frozenset({"enhancer"})),
    "promoter_name": (frozenset({"promotername", "promname"}), frozenset({"promoter"})),
    "gene": (
        frozenset({"geneid", "ensemblid", "geneensemblid", "targetgeneensemblid", "measuredgeneensemblid"}),
        frozenset({"gene", "genesymbol", "genename", "targetgene", "measuredgenesymbol"}),
    ),
    "transcript": (frozenset({"transcriptid", "transcript", "ensembltranscriptid"}),),
    "tss": (frozenset({"tss", "targetgenetss", "genetss", "tssposition"}),),
    "label": (frozenset({"label", "true", "ytrue"}),),
}


def map_columns(header: Sequence[str], given: Mapping[str, str], where: str) -> dict[str, str]:
    """Column by meaning.

    Args:
        header: the file's column names. given: column by meaning, as the user says; the rest is recognised.
        where: the file, for messages.

    Raises:
        EpishotError: a repeated or unknown name, several candidates for one meaning, or no score.
    """
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise EpishotError(f"{where} has several columns named {', '.join(map(repr, repeated))}: rename all but one.")
    for role, column in given.items():
        if role not in ALIASES:
            raise EpishotError(f"--columns does not know {role!r}.{_near(role, ALIASES)} Known: {', '.join(ALIASES)}.")
        if column not in header:
            raise EpishotError(f"{where} has no column {column!r}.{_near(column, header)} It has {_listed(header)}.")
    found = dict(given)
    for role, groups in ALIASES.items():
        if role in found:
            continue
        for names in groups:
            hits = [name for name in header if _bare(name) in names and name not in given.values()]
            if len(hits) > 1:
                raise EpishotError(
                    f"{where}: {', '.join(map(repr, hits))} may all be the {role}; say which one with "
                    f"--columns {role}=NAME."
                )
            if hits:
                found[role] = hits[0]
                break
    if "score" not in found:
        raise EpishotError(
            f"{where} has no column that is called like a score; name it with --columns score=NAME. "
            f"It has {_listed(header)}."
        )
    return found


def parse_mapping(text: str) -> dict[str, str]:
    """`score=pred,gene=Target` as a mapping.

    Raises:
        EpishotError: a part is not of the form meaning=column, or a meaning is given twice.
    """
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        role, equals, column = (word.strip() for word in part.partition("="))
        if not equals or not column or role in found:
            raise EpishotError(f"--columns {text!r}: write meaning=column,meaning=column, each meaning once.")
        found[role] = column
    return found


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _near(word: str, known: Sequence[str] | Mapping[str, object]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _listed(header: Sequence[str]) -> str:
    return ", ".join(header[:30]) + (f" and {len(header) - 30} more" if len(header) > 30 else "")
