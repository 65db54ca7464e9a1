"""What the documents promise of the code's shape, checked: imports, mirrored tests, no I/O in the protocol."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "ietpy"
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")

#: Modules without behaviour of their own: tables, records and ports, tested by everything that uses them.
DATA_ONLY = {
    "config/model.py", "iscsi/errors.py", "scsi/asc.py", "scsi/limits.py", "scsi/nexus.py", "scsi/state.py",
    "scsi/status.py", "scsi/store.py", "scsi/task.py",
}
#: Where threads begin: a mistake may end one connection, and is logged, but never all of them.
THREAD_ENTRIES = {
    "admin/service.py": 1, "daemon/channel.py": 1, "daemon/instance.py": 1, "daemon/media.py": 1,
    "daemon/web.py": 1,
    "daemon/nursery.py": 1, "daemon/publish.py": 1,
    "server/crowd.py": 1, "server/line.py": 1, "server/listener.py": 1, "server/pump.py": 1, "server/services.py": 1,
}
PURE = ("wire", "scsi", "iscsi")
FORBIDDEN_CALLS = {"open", "print", "input", "eval", "exec", "compile", "__import__", "breakpoint"}
#: A longer module is several; one that is not says why in its docstring.
LONGEST = 400


def test_imports_point_down() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--config", str(ROOT / "setup.cfg"), "--no-cache"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("module", [str(path) for path in MODULES])
def test_every_module_has_its_test_file(module: str) -> None:
    mirror = ROOT / "tests" / Path(module).with_name(f"test_{Path(module).name}")
    assert mirror.exists() or module in DATA_ONLY, f"write {mirror}, or list {module} as data only"


def test_no_exception_is_left_over() -> None:
    assert {str(path) for path in MODULES} >= DATA_ONLY


@pytest.mark.parametrize("module", [str(path) for path in MODULES if path.parts[0] in PURE])
def test_protocol_code_calls_nothing_that_acts(module: str) -> None:
    tree = ast.parse((PACKAGE / module).read_text())
    calls = [
        f"{node.func.id} in line {node.lineno}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS
    ]
    assert calls == []


@pytest.mark.parametrize("module", [str(path) for path in MODULES])
def test_no_error_is_swallowed_whole(module: str) -> None:
    """``except Exception`` hides mistakes; only one that raises again, and one in each thread's entry, is allowed."""
    tree = ast.parse((PACKAGE / module).read_text())
    broad = [
        f"line {node.lineno}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")))
        and not any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
    ]
    assert len(broad) <= THREAD_ENTRIES.get(module, 0), broad


@pytest.mark.parametrize("module", [str(path) for path in MODULES])
def test_modules_are_short_and_say_what_they_are(module: str) -> None:
    text = (PACKAGE / module).read_text()
    docstring = ast.get_docstring(ast.parse(text)) or ""
    assert docstring, "a module says first what it is"
    assert len(text.splitlines()) <= LONGEST or "400 lines" in docstring


@pytest.mark.parametrize("name", ["ietpy", "ietpy-daemon", "ietd", "ietadm"])
def test_console_scripts_are_there(name: str) -> None:
    scripts = [point for point in entry_points(group="console_scripts", name=name) if point.value.startswith("ietpy.")]
    assert scripts, f"{name} is not installed"
    assert callable(scripts[0].load())
    ended = subprocess.run(
        [str(Path(sys.executable).parent / name), "--version"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
