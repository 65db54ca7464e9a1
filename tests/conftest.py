"""What tests of several rooms need. A test that cannot run here fails and says what it needs; none is skipped."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

#: Machines are slow at times; how long something takes is no test's business.
settings.register_profile("untimed", parent=settings(), deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def _state_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No daemon of these tests keeps anything where this machine's own would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STATE_DIRECTORY", str(tmp_path_factory.getbasetemp() / "state"))
        yield


@pytest.fixture
def root() -> None:
    """For tests that make devices or become other users."""
    if os.geteuid() != 0:
        pytest.fail("this test needs root; run these tests as root", pytrace=False)


@pytest.fixture(scope="session")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory on an xfs whose files can share blocks; its file system is in a file of this machine's own."""
    if os.geteuid() != 0:
        pytest.fail("this test needs root, to mount a file system; run these tests as root", pytrace=False)
    directory = tmp_path_factory.mktemp("sharing")
    image, mounted = directory / "xfs.img", directory / "mounted"
    with image.open("wb") as file:
        file.truncate(320 << 20)
    mounted.mkdir()
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(mounted)], check=True)
    try:
        yield mounted
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """eventually(condition): wait until it holds; ten seconds bound a failure."""

    def wait(condition: Callable[[], bool]) -> None:
        turn = threading.Event()
        for _ in range(1000):
            if condition():
                return
            turn.wait(0.01)
        raise AssertionError("it never came about")

    return wait
