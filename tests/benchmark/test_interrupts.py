"""A Ctrl-C that lands where Python drops exceptions still ends the loop."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from epishot.benchmark.interrupts import delayed_interrupts, noticed_interrupts


class Swallows:
    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        sum(range(10_000))  # the handler runs here, and what it raises is dropped


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_in_a_destructor_is_not_lost() -> None:
    before = signal.getsignal(signal.SIGINT)
    rounds: list[int] = []

    def loop() -> None:
        with noticed_interrupts() as check:
            for number in range(5):
                rounds.append(number)
                Swallows()
                check()

    with pytest.raises(KeyboardInterrupt):
        loop()
    assert rounds == [0]
    assert signal.getsignal(signal.SIGINT) is before


def test_without_an_interrupt_nothing_happens() -> None:
    with noticed_interrupts() as check:
        check()


def test_an_interrupt_that_another_thread_gets_waits_until_a_process_has_started() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    done: list[str] = []

    def start() -> None:
        with delayed_interrupts():
            thread = threading.Thread(target=lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT))
            thread.start()
            thread.join()
            sum(range(10_000))  # the handler would run here
            done.append("started")

    try:
        with pytest.raises(KeyboardInterrupt):
            start()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert done
