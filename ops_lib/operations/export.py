"""Exporting: one zip that holds a record and all that it takes to check it, wherever it is unpacked."""

import io
import zipfile
from pathlib import Path

from ops_lib.archive import verifier
from ops_lib.archive.evidence import read_proof
from ops_lib.archive.files import write_whole
from ops_lib.archive.heads import PUBLIC
from ops_lib.archive.keys import signer_of
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import PROOF, Records
from ops_lib.archive.verification import Trust, verify_run
from ops_lib.model.errors import BadInput, DoesNotVerify
from ops_lib.model.tombstone import expected_files
from ops_lib.model.ulid import instant
from ops_lib.operations.desk import Desk

_README = """\
Run {run_id} of {runbook}: {outcome}. Open record/report.html; record/record.json is the same for programs.
To check that nothing was changed since it was sealed: python verifier.py (Python 3.9 or later, nothing else).
key.vkey came with the record: it shows that the parts belong together. To know who signed, use a key that you were
given before and in another way: python verifier.py --key KEY. What it recomputes is said at its beginning.
The head in record/proof.json is worth keeping: whatever the archive shows later has to begin with it.
"""


def export(desk: Desk, run: str, to: Path | None = None) -> Path:
    """The zip of one record; DoesNotVerify where it is not what was signed, and then nothing is written."""
    folder = Records(desk.archive).find(run)
    path = to or Path(f"{folder.name}.zip")
    if path.exists():
        raise BadInput(f"{path} is there already", hint="name another file with --to")
    faults = verify_run(desk.archive, folder, Trust(own=desk.keys)).faults
    if faults:
        raise DoesNotVerify(f"run {folder.name} does not verify: {faults[0]}", hint="runbook verify names all of it")
    if not path.absolute().parent.is_dir():
        raise BadInput(f"there is no folder {path.absolute().parent}", hint="make it first")
    write_whole(path, _zipped(desk, folder))
    return path


def _zipped(desk: Desk, folder: Path) -> bytes:
    record, proof = Records(desk.archive).read(folder), read_proof(folder)
    own = desk.keys.own(proof.head.checkpoint.origin)
    key = signer_of(proof.head, [*Ledger(desk.archive).heads.public(), *([own] if own else [])])
    if key is None:
        raise DoesNotVerify(f"the key that signed run {folder.name} is not in {PUBLIC}", hint="see `runbook verify`")
    said = _README.format(run_id=folder.name, runbook=record["runbook"]["id"], outcome=record["outcome"])
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as out:
        out.writestr(_member("README.txt", folder), said)
        out.writestr(_member("verifier.py", folder), Path(verifier.__file__).read_bytes())
        out.writestr(_member(PUBLIC, folder), f"{key.text()}\n")
        for name in (*expected_files(proof.entries[0], proof.entries[1:]), PROOF):
            out.writestr(_member(f"record/{name}", folder), (folder / name).read_bytes())
    return target.getvalue()


def _member(name: str, folder: Path) -> zipfile.ZipInfo:
    """A file of the zip, dated by its run, so that the same record gives the same zip."""
    member = zipfile.ZipInfo(name, date_time=instant(folder.name).timetuple()[:6])
    member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    return member
