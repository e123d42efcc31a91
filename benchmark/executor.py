"""One fresh process per fit, several at a time, and whatever happens to one never touches the others.

Processes come from a fork server that has the heavy libraries loaded, so a start costs milliseconds, and
that never held any data, so no labels can be in a child's memory.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import connection, forkserver
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Generic, TypeVar

from ..tasks.errors import EpishotError
from . import worker
from .interrupts import delayed_interrupts
from .jobs import Failed, Finished, FitJob, Fitted, Message, Scored
from .variables import variables

A = TypeVar("A")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")


@dataclass
class FitOutcome:
    """What came back from one fit. A request is in `scored` or in `errors`, or neither if `error` is set.

    Attributes:
        error: why the fit as a whole, or what was left of it, failed.
    """

    fitted: Fitted | None = None
    scored: dict[int, Scored] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    error: str | None = None

    def add(self, message: Message) -> None:
        """Take note of one message."""
        if isinstance(message, Fitted):
            self.fitted = message
        elif isinstance(message, Scored):
            self.scored[message.request] = message
        elif isinstance(message, Failed) and message.request is None:
            self.error = message.error
        elif isinstance(message, Failed):
            self.errors[message.request] = message.error  # type: ignore[index]

    def error_of(self, request: int) -> str | None:
        """Why a request has no scores; None if it has."""
        if request in self.scored:
            return None
        return self.errors.get(request) or self.error or "The fit ended without scoring this run."


@dataclass
class _Running(Generic[T]):
    token: T
    process: BaseProcess
    pipe: connection.Connection
    deadline: float
    outcome: FitOutcome
    finished: bool = False


class Executor:
    """Runs fits in fresh processes.

    Args:
        jobs: processes at a time, >= 1. timeout_s: wall seconds a fit may take; None for no limit.
        preload: further modules for the fork server (those of the methods of the package).
    """

    def __init__(self, jobs: int = 1, *, timeout_s: float | None = None, preload: Sequence[str] = ()) -> None:
        self.jobs = max(1, jobs)
        self.timeout_s = timeout_s
        self._context = multiprocessing.get_context("forkserver")
        # An empty list of modules would make the server skip preloading altogether.
        self._context.set_forkserver_preload(["epishot.benchmark.preload", *preload])

    def run(self, work: Iterable[tuple[T, Callable[[], FitJob]]]) -> Iterator[tuple[T, FitOutcome]]:
        """Run every job and yield each outcome as it comes. Leaving the loop early ends the children.

        Args:
            work: pairs of a token, given back with the outcome, and a function that makes the job; it is
                called when a process is free, so that few jobs are in memory at a time.
        """
        waiting = iter(work)
        running: list[_Running[T]] = []
        try:
            while True:
                while len(running) < self.jobs:
                    item = next(waiting, None)
                    if item is None:
                        break
                    running.append(self._start(*item))
                if not running:
                    return
                for done in self._wait(running):
                    running.remove(done)
                    _end(done)
                    yield done.token, done.outcome
        finally:
            for left in running:
                left.process.kill()
            for left in running:
                _end(left)

    def call(self, function: Callable[[A], R], argument: A) -> R:
        """Call a module-level function in a fresh process and return what it returns.

        Raises:
            EpishotError: the process died or the function raised.
        """
        process, pipe = self._spawn(worker.answer)
        try:
            pipe.send((function, argument))
            good, value = pipe.recv()
        except (EOFError, OSError):
            process.join(5)
            raise EpishotError(_death(process.exitcode)) from None
        finally:
            pipe.close()
            process.kill()
            process.join()
        if not good:
            raise EpishotError(value)
        return value

    def map_trusted(self, function: Callable[[A, S], R], arguments: Sequence[A], shared: S) -> Iterator[R]:
        """`function(argument, shared)` for every argument, in order, in up to `jobs` processes.

        For work of the suite's own, never of a method: `shared` may hold labels, and a process serves
        several arguments.
        """
        if self.jobs == 1 or len(arguments) < 2:
            yield from (function(argument, shared) for argument in arguments)
            return
        workers = min(self.jobs, len(arguments))
        pool = ProcessPoolExecutor(workers, self._context, initializer=worker.keep_shared, initargs=(shared,))
        try:
            with _server_environment(), _without_main(), _interrupts_blocked():
                futures = [pool.submit(worker.with_shared, function, argument) for argument in arguments]
            for future in futures:
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _spawn(self, target: Callable[[connection.Connection], None]) -> tuple[BaseProcess, connection.Connection]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=target, args=(theirs,), daemon=True)
        with _server_environment(), _without_main(), _interrupts_blocked():
            process.start()
        theirs.close()
        return process, ours

    def _start(self, token: T, make: Callable[[], FitJob]) -> _Running[T]:
        job = make()
        process, ours = self._spawn(worker.serve)
        limit = float("inf") if self.timeout_s is None else self.timeout_s
        started = _Running(token, process, ours, time.monotonic() + limit, FitOutcome())
        with suppress(OSError):  # died at once; its sentinel tells the rest
            ours.send(job)
        return started

    def _wait(self, running: list[_Running[T]]) -> list[_Running[T]]:
        """Block until a fit has ended; returns those that have."""
        while True:
            nearest = min(one.deadline for one in running)
            timeout = None if nearest == float("inf") else max(0.0, nearest - time.monotonic())
            by_object: dict[object, _Running[T]] = {}
            for one in running:
                by_object[one.pipe] = by_object[one.process.sentinel] = one
            ready = connection.wait(list(by_object), timeout)  # type: ignore[arg-type]
            for one in {id(by_object[r]): by_object[r] for r in ready}.values():
                self._drain(one)
            for one in running:
                if not one.finished and time.monotonic() >= one.deadline:
                    one.process.kill()
                    one.outcome.error = f"The fit was ended after its time limit of {self.timeout_s:g} s."
                    one.finished = True
            ended = [one for one in running if one.finished]
            if ended:
                return ended

    def _drain(self, one: _Running[T]) -> None:
        """Take every message that is there; notice the end, expected or not."""
        try:
            while one.pipe.poll(0):
                message = one.pipe.recv()
                one.outcome.add(message)
                if isinstance(message, Finished) or (isinstance(message, Failed) and message.request is None):
                    one.finished = True
                    return
            if one.process.exitcode is None:
                return
        except (EOFError, OSError):
            one.process.join(5)
        except Exception as error:  # a message that cannot be unpickled
            one.outcome.error = f"The fit sent an unreadable answer: {type(error).__name__}: {error}"
            one.finished = True
            return
        one.outcome.error = _death(one.process.exitcode)
        one.finished = True


def _death(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"The fit's process was killed by {name}{hint}."
    return f"The fit's process ended with exit code {exitcode} before it was done."


def _end(one: _Running[T]) -> None:
    """Close the pipe and reap the process, which has sent its last message."""
    one.pipe.close()
    one.process.join(1)
    if one.process.exitcode is None:
        one.process.kill()
        one.process.join()
    one.process.close()


def _server_environment() -> AbstractContextManager[None]:
    """The environment that the fork server, started by the first process, keeps for all its children."""
    return variables(dict.fromkeys(worker.HIDDEN_VARIABLES) | dict.fromkeys(worker.THREAD_VARIABLES, "1"))


@contextmanager
def _without_main() -> Iterator[None]:
    """Hide `__main__`, which multiprocessing would run again in every child: slow, and full of data."""
    main = sys.modules["__main__"]
    hollow = ModuleType("__main__")
    hollow.__spec__ = None
    sys.modules["__main__"] = hollow
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Children inherit the blocked Ctrl-C: the parent alone decides how to end, and not before they have started.

    Blocking alone would not do: a Ctrl-C that another thread of this process gets, such as that of the progress bar,
    is raised in the main thread all the same.
    """
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with delayed_interrupts():
            forkserver.ensure_running()
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
