"""What an archive lies on in these tests: a folder in memory, or an ext4 image that can lose its power."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IMAGE_BYTES = 24 << 20
_MEMORY = Path("/dev/shm")
_STRICT = "noauto_da_alloc,commit=300,noatime"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that is gone afterwards, in memory where that can be had."""
    with tempfile.TemporaryDirectory(prefix="crash-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None) as folder:
        yield Path(folder)


def fresh(base: Path, root: Path) -> None:
    """`root` as `base` is."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(base, root)


def empty(root: Path) -> None:
    """An empty folder."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()


def fill(base: Path, root: Path) -> None:
    """Put what `base` holds into a folder that exists."""
    shutil.copytree(base, root, dirs_exist_ok=True)


def why_no_power_cuts() -> str | None:
    """Why file systems cannot be mounted here, or nothing where they can."""
    if os.geteuid() != 0:
        return "power cuts need root, to mount an image"
    missing = [program for program in ("mkfs.ext4", "mount", "umount") if shutil.which(program) is None]
    if missing:
        return f"power cuts need {', '.join(missing)}"
    with scratch_folder() as folder:
        try:
            make_image(folder / "image")
            with mounted(folder / "image", folder / "mount", "ordered"):
                return None
        except subprocess.CalledProcessError as error:
            return f"an image cannot be mounted here: {error.stderr.strip()}"


def make_image(path: Path) -> None:
    """An empty ext4 file system with a journal, in a file."""
    with path.open("wb") as image:
        image.truncate(IMAGE_BYTES)
    _run("mkfs.ext4", "-q", "-F", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(path))


@contextmanager
def mounted(image: Path, where: Path, mode: str) -> Iterator[Path]:
    """An image, mounted with its data journalled in a mode; unmounted and detached whatever happens.

    Nothing is written back on its own while a test lasts: the journal's own commits are 300 s apart, and the kernel's
    guesses about careless programs (auto_da_alloc) are off.
    """
    where.mkdir(exist_ok=True)
    _run("mount", "-t", "ext4", "-o", f"loop,data={mode},{_STRICT}", str(image), str(where))
    try:
        yield where
    finally:
        _run("umount", str(where))


def copy_without_sync(image: Path, to: Path) -> None:
    """What the device holds at this moment, were its power cut.

    The image's file is the device. What the file system has not sent to it is in memory only, and is not copied; what
    it has sent counts as written, so a drive that loses its own cache is not modelled.
    """
    shutil.copyfile(image, to)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
