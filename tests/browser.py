"""A real Chromium without a screen, by the WebDriver protocol of its ``chromedriver`` (Debian: chromium-driver)."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

PATIENCE = 30
#: As root it has no sandbox of its own, and it must not look for anything beyond this machine.
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--force-color-profile=srgb",
)


class Browser:
    """``with Browser(directory) as browser``: one window of this size; ``dark`` as its user likes it."""

    def __init__(self, directory: Path, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        program = shutil.which("chromedriver")
        assert program, "chromedriver is missing: apt-get install chromium chromium-driver"
        self._log = (directory / "chromedriver.log").open("w+")
        self._driver = subprocess.Popen([program, "--port=0"], stdout=self._log, stderr=subprocess.STDOUT)
        self._at = f"http://127.0.0.1:{self._port(directory)}"
        flags = [*_FLAGS, f"--window-size={width},{height}", f"--user-data-dir={directory / 'profile'}"]
        flags += ["--force-dark-mode"] if dark else []
        options = {"args": flags, "binary": shutil.which("chromium")}
        capabilities = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self._at += f"/session/{made['sessionId']}"

    def _port(self, directory: Path) -> str:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            _, found, rest = (directory / "chromedriver.log").read_text().partition("successfully on port ")
            if found and "." in rest:
                return rest.partition(".")[0]
            time.sleep(0.02)
        raise AssertionError("chromedriver does not start")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait(PATIENCE)
            self._log.close()

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._at + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as problem:
            raise AssertionError(problem.read().decode()) from None

    def open(self, url: str) -> None:
        """Returns when it has loaded."""
        self._ask("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a function of this body returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def await_(self, script: str) -> Any:
        """What ``run`` returns, as soon as that is something."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if value := self.run(script):
                return value
            time.sleep(0.05)
        raise AssertionError(f"never true: {script}")

    def log(self) -> list[str]:
        """What its console has said since the last time."""
        return [each["message"] for each in self._ask("POST", "/se/log", {"type": "browser"})]

    def screenshot(self) -> bytes:
        """The window, as PNG."""
        return base64.b64decode(self._ask("GET", "/screenshot"))
