"""The first signal unwinds, the second is ignored, and handlers come back."""

from __future__ import annotations

import os
import signal

import pytest

from ietpy.cli.stopping import SIGNALS, Stopped, stoppable


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_unwinds_once(number: int) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    cleared = []

    def work() -> None:
        try:
            os.kill(os.getpid(), number)
            signal.pause()
        finally:
            for each in SIGNALS:
                os.kill(os.getpid(), each)
            cleared.append(True)

    with pytest.raises(Stopped) as caught, stoppable():
        work()
    assert caught.value.number == number
    assert cleared == [True]
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
