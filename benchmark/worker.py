"""What happens inside the process of one fit: receive a job, fit once, score every request, send it all back."""

from __future__ import annotations

import os
import random
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import numpy as np

from ..methods.base import Method, PairTable, Supports
from ..methods.device import VARIABLE as DEVICE
from ..methods.registry import find_method
from ..tasks.errors import EpishotError, MethodError
from .jobs import Failed, Finished, FitJob, Fitted, Message, Scored, Started
from .method_code import method_code

#: Variables that tell where labelled data lie; no fit may see them.
HIDDEN_VARIABLES = ("EPISHOT_DATA", "EPISHOT_CACHE")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_ERROR_LINES = 12

A = TypeVar("A")
R = TypeVar("R")


def serve(connection: Connection) -> None:
    """Entry point of the process: one `FitJob` comes in, messages go out, then it ends."""
    confine_process()
    try:
        job: FitJob = connection.recv()
        connection.send(Started(os.getpid()))
        for message in messages(job):
            connection.send(message)
    except (BrokenPipeError, EOFError, ConnectionResetError):
        return  # the parent is gone or has given up on this fit
    finally:
        connection.close()


def answer(connection: Connection) -> None:
    """Entry point of `Executor.call`: (function, argument) comes in, (True, value) or (False, text) goes out."""
    confine_process()
    try:
        function, argument = connection.recv()
        try:
            connection.send((True, function(argument)))
        except Exception as error:
            connection.send((False, str(error) if isinstance(error, EpishotError) else repr(error)))
    except (BrokenPipeError, EOFError, ConnectionResetError):
        return
    finally:
        connection.close()


_shared: object = None


def keep_shared(shared: object) -> None:
    """Set up a process of `Executor.map_trusted`."""
    global _shared
    confine_process()
    _shared = shared


def with_shared(function: Callable[[A, Any], R], argument: A) -> R:
    """Call `function(argument, shared)` in a process of `Executor.map_trusted`."""
    return function(argument, _shared)


def confine_process() -> None:
    """One thread, no way to the labels through the environment, and what a method prints goes to stderr."""
    os.dup2(2, 1)
    for name in HIDDEN_VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    os.environ.setdefault(DEVICE, "cpu")
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


def messages(job: FitJob) -> Iterator[Message]:
    """Do the job; yields one `Message` after another and never raises an `Exception`."""
    try:
        check_source(job.method, job.code)
        cls = find_method(job.method)
        seed_everything(job.context.seed)
        wall, cpu = time.perf_counter(), time.process_time()
        method = cls(**job.arguments)
        method.fit(job.train, job.context)
        _finish()
        n_parameters = method.n_parameters()
    except Exception as error:
        yield Failed(None, describe_error("fit", error))
        return
    yield Fitted(time.perf_counter() - wall, time.process_time() - cpu, n_parameters)
    for index, supports in enumerate(job.requests):
        yield _score(method, index, supports, job)
    yield Finished()


#: Digests of the sources that the fork server has imported, by method address (see `preload_methods`).
PRELOADED: dict[str, str] = {}


def check_source(address: str, code: str) -> None:
    """Make sure that the source to be run is the one that the runs are named by.

    Raises:
        MethodError: it was edited after the run (or this Python session) began.
    """
    if (PRELOADED.get(address) or method_code(address)) != code:
        raise MethodError(
            f"The source of {address} was edited while it was in use; start the command (or the session) again."
        )


def _score(method: Method, index: int, supports: Supports, job: FitJob) -> Message:
    # Seeded anew, so that no score depends on which requests came before it.
    seed_everything(job.context.seed)
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        scores = method.score(supports, job.query, job.cell_table)
        _finish()
        scores = checked_scores(scores, supports, job.query, type(method).__name__)
    except Exception as error:
        return Failed(index, describe_error("score", error))
    return Scored(index, scores, time.perf_counter() - wall, time.process_time() - cpu, peak_memory_mb())


def _finish() -> None:
    """Wait for what a GPU was given to do, so that clocks show it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def checked_scores(scores: object, supports: Supports, query: PairTable, name: str) -> np.ndarray:
    """Scores as (E, n) float64.

    Raises:
        MethodError: not an array of finite floats of that shape.
    """
    expected = (supports.n_episodes, query.n)
    if not isinstance(scores, np.ndarray):
        raise MethodError(f"{name}.score returned {type(scores).__name__}, not a numpy array.")
    if scores.shape != expected:
        raise MethodError(f"{name}.score returned shape {scores.shape}; expected (episodes, pairs) = {expected}.")
    if scores.dtype.kind != "f":
        raise MethodError(f"{name}.score returned {scores.dtype}; scores must be floats.")
    bad = int(np.count_nonzero(~np.isfinite(scores)))
    if bad:
        raise MethodError(f"{name}.score returned {bad} of {scores.size} scores that are NaN or infinite.")
    return np.ascontiguousarray(scores, dtype=np.float64)


def seed_everything(seed: int) -> None:
    """Seed the global generators, for methods that use them in spite of `FitContext.generator`."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


def peak_memory_mb() -> float:
    """Peak resident memory of this process in MB (preloaded libraries included)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def describe_error(where: str, error: BaseException) -> str:
    """One line of cause, then the end of the traceback, short enough for a record."""
    cause = f"{where}: {type(error).__name__}: {error}"
    if isinstance(error, EpishotError):
        return cause
    lines = "".join(traceback.format_exception(error)).rstrip().splitlines()
    return "\n".join([cause, *lines[-_ERROR_LINES:]])
