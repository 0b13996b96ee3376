"""Whether a real browser draws every chart of the page from disk, and the page asks the network for nothing.

Needs Chromium (Debian: ``apt-get install chromium``); skipped, with this reason, where there is none. The browser's proxy is a closed
port, so that nothing leaves the machine, the browser's own housekeeping included.
"""

import json
import shutil
import subprocess
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
    "--proxy-server=127.0.0.1:9",
    "--proxy-bypass-list=<-loopback>",
    "--virtual-time-budget=10000",
)
OF_THE_BROWSER = "not an origin"  # initiator of requests that no page made


def browse(page: Path, folder: Path) -> tuple[str, list[str]]:
    """Return the document after its scripts have run, and the addresses that the page (not the browser itself) asked for."""
    log = folder / "net.json"
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}"]
    done = subprocess.run([*command, "--dump-dom", f"{page.as_uri()}#theme=dark"], capture_output=True, text=True, timeout=120, check=True)
    text = log.read_text(encoding="utf-8").strip()
    data = json.loads(text if text.endswith("}") else text.rstrip(",\n") + "]}")
    started = data["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    requests = [event["params"] for event in data["events"] if event["type"] == started and "url" in event.get("params", {})]
    return done.stdout, [request["url"] for request in requests if request.get("initiator") != OF_THE_BROWSER]


def test_every_visible_chart_is_drawn_and_nothing_is_fetched(report: Path, tmp_path: Path) -> None:
    dom, asked = browse(report / "report.html", tmp_path)
    # cost, two of components, four machines of unit time, roofline, the open one of four timelines; browsers differ in drawing folded ones
    assert dom.count('data-drawn="yes"') in range(9, 13)
    assert 'data-drawn="no"' not in dom
    assert '<html lang="en" class=""' in dom and 'data-theme="dark"' in dom
    assert asked == []


def test_the_check_would_notice_a_request(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<img src="http://example.invalid/picture.png">', encoding="utf-8")
    assert browse(page, tmp_path)[1] == ["http://example.invalid/picture.png"]
