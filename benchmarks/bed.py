"""What `benchmarks/engine.py` stands on: notebooks, a home with its daemon, a database, the peer, and the floor."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY))

from ops_lib.daemon import client  # noqa: E402
from ops_lib.postgres.server import EmbeddedServer  # noqa: E402

BIN = Path(sys.executable).parent
PEER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ops-runbooks/peer"
TRIVIAL = ["x = 1", "x + 1", "print(x)", "y = [x] * 3", "y"]
QUERY = (
    "pd.read_sql('SELECT mod(g, {n}) AS k, count(*) FROM generate_series(1, 20000) g GROUP BY 1 ORDER BY 1', engine)"
)
REALISTIC = [
    "import os\nimport pandas as pd\nimport matplotlib.pyplot as plt\nfrom sqlalchemy import create_engine",
    "engine = create_engine(os.environ['BENCH_DSN'])",
    *[f"f{n} = {QUERY.format(n=n + 5)}\nf{n}.head()" for n in range(6)],
    "total = pd.concat([f0, f1, f2])", "total.describe()", "total['count'].sum()",
    "fig, axis = plt.subplots(); axis.plot(f0['k'], f0['count'])",
    "fig, axis = plt.subplots(); axis.bar(f1['k'], f1['count'])",
    "print(len(total))", "total.tail(3)",
]  # fmt: skip
MANY = ["import time"] + [f"{n} + 1" for n in range(199)]
PICTURE = "from IPython.display import Image, display\nimport os"
PICTURES = [PICTURE] + ["display(Image(data=b'\\x89PNG\\r\\n\\x1a\\n' + os.urandom(500_000), format='png'))"] * 40


class Bench:
    """A folder with the notebooks, a home of its own with its daemon, a database, and the peer's environment."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": os.environ.get("LANG", "C.UTF-8"),
            "BENCH_DSN": dsn,
        }  # fmt: skip
        (folder / "runbooks").mkdir()
        for number, (name, cells) in enumerate(NOTEBOOKS.items(), start=1):
            self._write(name, number, cells)

    def _write(self, name: str, number: int, cells: Sequence[str]) -> None:
        front = f"---\nid: BEN-{number:03}\ntitle: {name}\nhazard: read-only\nowner: bench\ntimeout: 10m\n---"
        raw = {"cell_type": "raw", "id": "front", "metadata": {}, "source": front}
        code = [
            {"cell_type": "code", "id": f"c{n}", "metadata": {}, "outputs": [], "execution_count": None, "source": text}
            for n, text in enumerate(cells)
        ]
        kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
        notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": [raw, *code]}
        self.path(name).write_text(json.dumps(notebook))

    def path(self, name: str) -> Path:
        return self.folder / "runbooks" / f"{name}.ipynb"

    def command(self, *arguments: str | Path, **more: str) -> None:
        subprocess.run(
            [*map(str, arguments)], cwd=self.folder, env={**self.environment, **more}, check=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def papermill(self, name: str, *more: str, **environment: str) -> None:
        files = (self.path(name), self.folder / f"{name}-out.ipynb")
        self.command(PEER / "bin/papermill", "--no-progress-bar", *more, *files, **environment)

    def papermill_and_page(self, name: str) -> None:
        self.papermill(name)
        self.command(PEER / "bin/jupyter-nbconvert", "--to", "html", self.folder / f"{name}-out.ipynb")

    def shell(self, name: str) -> None:
        self.command(BIN / "runbook", "run", name)

    def socket(self, name: str) -> None:
        """As the client does it, without the start of its interpreter."""
        with chdir(self.folder), unheard():
            code = client.hand_over(["run", name], self.environment)
        assert code == 0, f"the daemon answered {code} for {name}"

    def daemon_is_up(self) -> None:
        self.shell("trivial")
        address = client.address(self.environment)
        while not (address.exists() and address.with_suffix(".kernels").exists()):
            time.sleep(0.05)
        self.settle()

    def settle(self) -> None:
        """The time that a person takes between two runs: kernels that were used up are made again."""
        time.sleep(1.5)


@contextmanager
def unheard() -> Iterator[None]:
    """What a run prints goes nowhere."""
    kept = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for standard in (1, 2):
        os.dup2(nowhere, standard)
    try:
        yield
    finally:
        for standard, before in zip((1, 2), kept, strict=True):
            os.dup2(before, standard)
            os.close(before)
        os.close(nowhere)


NOTEBOOKS: Mapping[str, Sequence[str]] = {
    "trivial": TRIVIAL, "realistic": REALISTIC, "many": MANY, "pictures": PICTURES,
}  # fmt: skip


@contextmanager
def bench() -> Iterator[Bench]:
    folder = Path(tempfile.mkdtemp(prefix="ops-bench-"))
    folder.chmod(0o711)
    server = EmbeddedServer(folder / "server")
    server.start()
    try:
        login = server.login(dbname="postgres")
        words = login.keywords
        place = f"postgres?host={words['host']}&port={words['port']}"
        dsn = f"postgresql+psycopg://{words['user']}:{login.password or ''}@/{place}"
        made = Bench(folder, dsn)
        try:
            yield made
        finally:
            made.command(BIN / "runbook", "daemon", "stop")
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def peer() -> None:
    """papermill in an environment without jupyterlab, with the versions that are pinned here; and our engine in it."""
    ours = subprocess.run([PEER / "bin/runbook", "list"], capture_output=True, check=False) if PEER.exists() else None
    if ours is None or ours.returncode:
        sys.stderr.write("making the environment of the peer\n")
        PEER.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", PEER], check=True)
        frozen = subprocess.run([BIN / "pip", "freeze"], capture_output=True, text=True, check=True).stdout
        pins = [line for line in frozen.splitlines() if re.fullmatch(r"[\w.-]+==\S+", line)]
        (PEER / "pins").write_text("\n".join(pins))
        project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
        needed = [*project["project"]["dependencies"], *project["build-system"]["requires"], "nbconvert", "editables"]
        packages = [need for need in needed if not need.startswith("jupyterlab")]
        quiet = [PEER / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*quiet, "-c", PEER / "pins", *packages], check=True)
        subprocess.run([*quiet, "--no-deps", "--no-build-isolation", "-e", REPOSITORY], check=True)


class Floor:
    """The cells in a warm IPython, with their outputs formatted as a kernel would."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        os.environ["BENCH_DSN"] = environment["BENCH_DSN"]
        from IPython.core.interactiveshell import InteractiveShell  # noqa: PLC0415

        class Shell(InteractiveShell):
            def enable_gui(self, gui: object = None) -> None:
                """There is no event loop here."""

        self.shell = Shell.instance()
        self.shell.run_line_magic("matplotlib", "inline")

    def run(self, name: str) -> None:
        from IPython.utils.capture import capture_output  # noqa: PLC0415

        for cell in NOTEBOOKS[name]:
            with capture_output():
                self.shell.run_cell(cell).raise_error()
