"""A Ctrl-C that lands where Python drops exceptions still ends the loop."""

from __future__ import annotations

import os
import signal

import pytest

from epishot.benchmark.interrupts import noticed_interrupts


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
