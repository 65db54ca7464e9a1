"""``ietpy secret``: long enough, of characters every configuration file can hold, and never the same."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from ietpy.cli.ietpy import main
from ietpy.config.load import loads


@pytest.mark.rfc7143("9.2.1-2", "9.2.1-3")
@pytest.mark.parametrize(("options", "length", "bits"), [([], 16, 96), (["--long"], 22, 128)])
def test_secrets(options: list[str], length: int, bits: int) -> None:
    made = [CliRunner().invoke(main, ["secret", *options]).stdout.removesuffix("\n") for _ in range(20)]
    assert len(set(made)) == 20
    for secret in made:
        assert re.fullmatch(rf"[A-Za-z0-9_-]{{{length}}}", secret)
        (target,) = loads(f"Target t\nIncomingUser joe {secret}\n").targets
        assert target.incoming[0].secret == secret
    assert length * 6 >= bits
