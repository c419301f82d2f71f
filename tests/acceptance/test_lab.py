"""A person in a real browser: from `runbook lab` to the sealed record, which says what the headless run says."""

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import REPOSITORY, RUNBOOK, command, environment

CHROMIUM = shutil.which("chromium")
MISSING = [
    *([] if CHROMIUM else ["the program chromium"]),
    *([] if find_spec("jupyterlab") else ["the package jupyterlab"]),
    *([] if find_spec("playwright") else ["the package playwright"]),
]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"a browser test needs {', '.join(MISSING)}")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SECONDS = 240
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/lab/tree/\S+")


@contextmanager
def lab(home: Path, folder: Path, *arguments: str) -> Iterator[str]:
    """`runbook lab` while it runs; the address that it prints."""
    said = folder / "lab.log"
    with said.open("wb") as log:
        process = subprocess.Popen(
            [RUNBOOK, "lab", *arguments, "--no-browser"], cwd=folder, env=environment(home), stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    follow = subprocess.Popen(["tail", "-n", "+1", "-F", str(said)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert follow.stdout
        yield next(found[0] for line in follow.stdout if (found := _ADDRESS.search(line.decode())))
    finally:
        follow.kill()
        follow.communicate()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=SECONDS)


@contextmanager
def browser(address: str) -> Iterator[Any]:
    """A page of Chromium's at an address, once its notebook is there and its kernel is idle."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, "--disable-sync"])
        page = chromium.new_page()
        page.set_default_timeout(SECONDS * 1000)
        with page.expect_websocket(lambda socket: "/channels" in socket.url) as kernel:
            page.goto(address)
        kernel.value.wait_for_event("framereceived", timeout=SECONDS * 1000)  # idle is shown before it is reached
        page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']")
        yield page
        chromium.close()


def test_a_person_in_a_browser_leaves_the_record_of_a_headless_run(home: Path, tmp_path: Path) -> None:
    """All cells are run from the menu of JupyterLab; what it saved is not the reviewed file."""
    reviewed = (REPOSITORY / "runbooks/sop-004-performance-investigation.ipynb").read_bytes()
    played = command(home, tmp_path, "demo", "--json", timeout=SECONDS)
    assert played.returncode == 0, played.stderr
    with lab(home, tmp_path, "SOP-004", "--reason", "to see") as address, browser(address) as page:
        page.click(".lm-MenuBar-item:has-text('Run')")
        page.click(".lm-Menu-item[data-command='runmenu:run-all']")
        page.wait_for_selector(".jp-OutputArea-output:has-text('sealed: ')")
        page.keyboard.press("Control+s")
        page.wait_for_function("() => document.title.indexOf('*') < 0")
        shown = page.inner_text(".jp-Notebook")
    record = json.loads(command(home, tmp_path, "record", "last", "--json").stdout)
    headless = json.loads(command(home, tmp_path, "run", "SOP-004", "--json", timeout=SECONDS).stdout)
    assert (record["outcome"], record["reason"]) == ("succeeded", "to see")
    assert record["cause"]["how_known"].endswith("in JupyterLab")
    assert [cell["status"] for cell in record["cells"]] == [cell["status"] for cell in headless["cells"]]
    assert not any("deviates" in cell for cell in record["cells"])
    compared = json.loads(command(home, tmp_path, "diff", record["run_id"], headless["run_id"], "--json").stdout)
    assert compared["findings"]["same"], compared["findings"]
    assert [one["key"] for one in record["findings"]] == [one["key"] for one in headless["findings"]]
    assert record["findings"][0]["summary"] in " ".join(shown.split())
    assert command(home, tmp_path, "verify").returncode == 0
    assert (REPOSITORY / "runbooks/sop-004-performance-investigation.ipynb").read_bytes() == reviewed
    (copy,) = home.rglob("lab/*/work/sop-004*.ipynb")
    assert "to act on" in copy.read_text(), "what JupyterLab saved is the copy"
