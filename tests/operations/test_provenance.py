"""The commit of a runbook is that in which the file stands as it is, or none."""

import subprocess
from pathlib import Path

import pytest

from ops_lib.operations.provenance import commit_of


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=ana", "-c", "user.email=ana@example.org")
    return subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("form", ["sha1", "sha256"])
def test_the_commit_of_a_file(tmp_path: Path, form: str) -> None:
    """Not where it was changed, is not known to git, or lies in no repository; a filter that git applies is none."""
    file = tmp_path / "a b.ipynb"
    file.write_text("one\n")
    assert commit_of(file) is None
    git(tmp_path, "init", "-q", f"--object-format={form}")
    assert commit_of(file) is None
    git(tmp_path, "add", ".")
    assert commit_of(file) is None
    git(tmp_path, "commit", "-qm", "first")
    assert commit_of(file) == git(tmp_path, "rev-parse", "HEAD").strip()
    file.write_text("two\n")
    assert commit_of(file) is None
    (tmp_path / ".git/info/attributes").write_text("*.ipynb filter=one\n")
    git(tmp_path, "config", "filter.one.clean", "sed s/two/one/")
    assert commit_of(file) == git(tmp_path, "rev-parse", "HEAD").strip()
    (tmp_path / "other").write_text("")
    assert commit_of(tmp_path / "other") is None
