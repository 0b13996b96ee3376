"""Whether a real browser draws every chart of the page from disk, and asks the network for nothing.

Needs Chromium (Debian: ``apt-get install chromium``); skipped, with this reason, where there is none.
"""

import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine: the page is checked without a browser only")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-extensions",
    "--virtual-time-budget=10000",
)


def browse(page: Path, profile: Path, *more: str) -> str:
    """Return the document after its scripts have run."""
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", *more, "--dump-dom", f"{page.as_uri()}#theme=dark"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_every_visible_chart_is_drawn_and_nothing_is_fetched(report: Path, tmp_path: Path) -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0.2)
        done = threading.Event()

        def listen() -> None:
            while not done.is_set():
                try:
                    connection, _ = proxy.accept()
                except TimeoutError:
                    continue
                with connection:
                    asked.append(connection.recv(200))

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            port = proxy.getsockname()[1]
            dom = browse(
                report / "report.html", tmp_path / "profile", f"--proxy-server=127.0.0.1:{port}", "--proxy-bypass-list=<-loopback>"
            )
        finally:
            done.set()
            thread.join()
    # cost, two of components, four machines of unit time, roofline, the open one of four timelines; browsers differ in drawing folded ones
    assert dom.count('data-drawn="yes"') in range(9, 13)
    assert 'data-drawn="no"' not in dom
    assert '<html lang="en" class=""' in dom and 'data-theme="dark"' in dom
    assert asked == []
