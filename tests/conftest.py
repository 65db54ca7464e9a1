"""What tests of several rooms need. A test that cannot run here fails and says what it needs; none is skipped."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def root() -> None:
    """For tests that make devices or become other users."""
    if os.geteuid() != 0:
        pytest.fail("this test needs root; run these tests as root", pytrace=False)
