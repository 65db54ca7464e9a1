"""What makes the load: programs that are run against a URL, and what they say of it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SOURCES = ("load.c", "login.h", "crc32c.h")


def load_program() -> Path:
    """The compiled ``load.c``; made when its sources are new, kept in the temporary folder."""
    folder = Path(tempfile.gettempdir()) / f"ietpy-bench-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise SystemExit(f"{folder} is somebody else's; remove it, or set TMPDIR")
    digest = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in SOURCES)).hexdigest()[:16]
    program = folder / f"load-{digest}"
    if not program.exists():
        made = folder / f"load-{digest}.{os.getpid()}"
        command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(made), str(HERE / SOURCES[0])]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise SystemExit("cc is missing; install gcc and libc6-dev") from None
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
        made.rename(program)
    return program


def load(*arguments: object, patience: float = 300) -> dict[str, Any]:
    """Run the generator to its end; what it measured. Ends the program if it found a fault."""
    command = [str(load_program()), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stderr}{done.stdout}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured
