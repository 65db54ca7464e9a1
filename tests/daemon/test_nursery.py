"""The nursery, in a process of its own: it forks, and nothing it forks outlives it."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from ietpy.daemon.channel import Channel
from ietpy.daemon.nursery import Nursery
from ietpy.errors import AdminError

_BEARS = """
import os, signal
from ietpy.daemon.nursery import Nursery

def work(channel):
    while (message := channel.receive()) is not None:
        channel.send("heard", os.getpid(), os.getppid(), os.getcwd(), open("/proc/self/comm").read().strip())
        assert not [each for each in os.scandir("/proc/self/fd") if "pidfd" in os.readlink(each)]

nursery = Nursery.open(work, detached=True, umask=0o022)
nursery.become(0, 0)
children = [nursery.bear() for _ in range(2)]
pids = set()
for channel, pid in children:
    channel.send("say")
    kind, (said, parent, directory, name), _ = channel.receive()
    assert (kind, said, directory, name) == ("heard", pid, "/", "ietpy-nursery"), (kind, said, directory, name)
    pids.add(parent)
(parent,) = pids
nursery._channel.send("bear")
assert nursery._channel.receive()[:2] == ("failed", ("Too many open files",))
assert parent != os.getpid()
channel, pid = children[0]
channel.end()
assert channel.receive() is None
again, other = nursery.bear()
assert other != pid
ended = [os.pidfd_open(each) for each in (parent, other)]
os.kill(other, signal.SIGSTOP)
nursery.close()
again.close()
for each in ended:
    import select
    assert select.select([each], [], [], 10)[0]
"""


def test_it_bears_workers_until_it_is_closed() -> None:
    ended = subprocess.run([sys.executable, "-c", _BEARS], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


_LEFT = """
import os, select, signal
from ietpy.daemon.nursery import Nursery

def work(channel):
    channel.send("here", os.getpid())
    signal.pause()  # it does not see that all have gone

nursery = Nursery.open(work, detached=False, umask=0o022)
channel, _ = nursery.bear()
_, (first,), _ = channel.receive()
channel, theirs = channel.pair()
nursery._channel.send("bear", sock=theirs)
nursery.close()  # nobody hears of that one
theirs.close()
second = message.facts[0] if (message := channel.receive()) else 0
for pid in filter(None, (first, second)):
    try:
        ended = os.pidfd_open(pid)
    except ProcessLookupError:
        continue
    assert select.select([ended], [], [], 10)[0]
"""


def test_it_leaves_nobody_behind_where_its_answer_comes_too_late() -> None:
    ended = subprocess.run([sys.executable, "-c", _LEFT], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


_FAILS = """
import os, select, sys
from ietpy.daemon.nursery import Nursery

def work(channel):
    sys.excepthook = lambda kind, error, trace: channel.send("said", str(error))
    raise ValueError("a mistake")

nursery = Nursery.open(work, detached=True, umask=0o022)
channel, _ = nursery.bear()
assert channel.receive()[:2] == ("said", ("a mistake",))
assert channel.receive() is None
nursery.close()
"""


def test_what_a_worker_dies_of_goes_where_its_log_goes() -> None:
    ended = subprocess.run([sys.executable, "-c", _FAILS], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_without_it_no_worker_can_be_started() -> None:
    ours, theirs = Channel.pair()
    nursery = Nursery(ours)
    theirs.close()
    nursery.become(0, 0)
    with pytest.raises(AdminError, match="the process that starts workers has gone; restart ietpy-daemon"):
        nursery.bear()
    nursery.close()


def test_what_keeps_it_from_forking_is_said() -> None:
    ours, theirs = Channel.pair()
    nursery, other = Nursery(ours), Channel(theirs)
    other.send("failed", "Resource temporarily unavailable")
    with pytest.raises(AdminError, match="no worker process can be started: Resource temporarily unavailable"):
        nursery.bear()
    nursery.close()
    other.close()


def test_it_says_that_no_descriptor_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    ours, theirs = Channel.pair()
    nursery = Nursery(ours)
    with monkeypatch.context() as patched:
        patched.setattr(Channel, "pair", full)
        with pytest.raises(AdminError, match="no worker process can be started: Too many open files"):
            nursery.bear()
    nursery.close()
    theirs.close()
