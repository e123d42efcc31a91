"""Methods that misbehave in one way each; loaded by path in the processes of the tests."""

from __future__ import annotations

import os
import pickle
import signal
import time
from pathlib import Path

import numpy as np

from epishot.methods.base import Method, Reads, Regime


class Good(Method):
    name = "good"
    summary = "minus the distance"
    reads = frozenset({Reads.DISTANCE})
    regimes = frozenset({Regime.NONE, Regime.LABELLED})
    deterministic = True

    def fit(self, train, context):
        self.prevalence = train.prevalence

    def score(self, supports, query, cell_table):
        return np.tile(-query.distance, (supports.n_episodes, 1))


class Raises(Good):
    name = "raises"

    def fit(self, train, context):
        raise RuntimeError("no way")


class RaisesLabelled(Good):
    name = "raises-labelled"

    def score(self, supports, query, cell_table):
        if supports.regime is Regime.LABELLED:
            raise RuntimeError("labels are too hard")
        return super().score(supports, query, cell_table)


class Dies(Good):
    name = "dies"

    def fit(self, train, context):
        os._exit(7)


class DiesLabelled(Good):
    name = "dies-labelled"

    def score(self, supports, query, cell_table):
        if supports.regime is Regime.LABELLED:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().score(supports, query, cell_table)


class Segfaults(Good):
    name = "segfaults"

    def fit(self, train, context):
        os.kill(os.getpid(), signal.SIGSEGV)


class Hangs(Good):
    name = "hangs"

    def fit(self, train, context):
        time.sleep(600)


class NotFinite(Good):
    name = "not-finite"

    def score(self, supports, query, cell_table):
        out = super().score(supports, query, cell_table)
        out[0, :3] = np.nan
        return out


class WrongShape(Good):
    name = "wrong-shape"

    def score(self, supports, query, cell_table):
        return super().score(supports, query, cell_table)[:, :-1]


class Integers(Good):
    name = "integers"

    def score(self, supports, query, cell_table):
        return super().score(supports, query, cell_table).astype(int)


class ListScores(Good):
    name = "list-scores"

    def score(self, supports, query, cell_table):
        return super().score(supports, query, cell_table).tolist()


class Exits(Good):
    name = "exits"

    def fit(self, train, context):
        raise SystemExit(3)


class Looks(Good):
    """Writes down everything it can see."""

    name = "looks"

    def __init__(self, out: str = "") -> None:
        self.out = out

    def config(self):
        return {"out": self.out}

    def fit(self, train, context):
        import sys
        import threading

        environment = Path("/proc/self/environ").read_bytes().decode() if Path("/proc/self/environ").exists() else ""
        seen = {
            "environ": dict(os.environ),
            "initial": environment,
            "main": sys.modules["__main__"].__dict__.get("__file__"),
            "threads": threading.active_count(),
            "torch_threads": sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None,
            "random": float(np.random.random()),  # noqa: NPY002
        }
        Path(self.out).write_bytes(pickle.dumps(seen))


class Sleepy(Good):
    """A fit long enough to be interrupted."""

    name = "sleepy"

    def fit(self, train, context):
        time.sleep(1.0)


class Transductive(Good):
    name = "transductive"
    transductive = True
    reads = frozenset({Reads.DISTANCE, Reads.FEATURES})

    def score(self, supports, query, cell_table):
        assert cell_table is not None
        return np.tile(query.features[:, 0].astype(float), (supports.n_episodes, 1))
