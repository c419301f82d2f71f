"""Verifying: an archive, one run of it, or a record folder that was copied away from it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ops_lib.archive.evidence import Verification, read_proof, verify_folder
from ops_lib.archive.files import explained_below
from ops_lib.archive.heads import HEAD, PUBLIC
from ops_lib.archive.keys import read_keys
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import Records
from ops_lib.archive.verification import Trust, verify_archive, verify_run
from ops_lib.model.checkpoint import Head, VerifierKey
from ops_lib.model.errors import BadInput
from ops_lib.model.ledger import EntryKind
from ops_lib.operations.desk import Desk


def verify(
    desk: Desk, run: str | None = None, *, keys: Sequence[str] = (), since: Sequence[str] = ()
) -> Verification:  # fmt: skip
    """Recompute one record, or everything; against heads that were kept elsewhere, too."""
    trust = Trust(given=read_keys(keys), own=desk.keys, kept=_kept(since))
    with explained_below(desk.archive):
        if run is None:
            return verify_archive(desk.archive, trust)
        return verify_run(desk.archive, Records(desk.archive).find(run), trust)


def verify_copy(desk: Desk, folder: Path, *, keys: Sequence[str] = ()) -> Verification:
    """Recompute a record folder wherever it is, with the keys given, or with those that lie beside it or are ours."""
    folder = folder.resolve()
    return verify_folder(folder, read_keys(keys) or _near(desk, folder))


def _near(desk: Desk, folder: Path) -> Sequence[VerifierKey]:
    origin = None
    try:
        origin = read_proof(folder).head.checkpoint.origin
    except ValueError:
        return ()
    own = desk.keys.own(origin)
    # Beside it in an export, or where the archive of the folder keeps it.
    lying = next((path for path in (parent / PUBLIC for parent in list(folder.parents)[:5]) if path.is_file()), None)
    found = [*([own] if own else []), *(read_keys([str(lying)]) if lying else [])]
    if not found:
        raise BadInput(f"no key to verify {folder} with", hint="give --key KEY, a verifier key or a file of some")
    return found


def _kept(since: Sequence[str]) -> Mapping[str, Head]:
    return {f"the head {text.splitlines()[0]}": _head(text) for text in since}


def _head(text: str) -> Head:
    try:
        content = text if "\n" in text else Path(text).read_bytes().decode()
        return Head.parse(content if content.endswith("\n") else content + "\n")
    except (OSError, ValueError) as error:
        hint = f"give a file with a signed head, such as a copy of {HEAD}"
        raise BadInput(f"{text.splitlines()[0]!r} is no signed head: {error}", hint=hint) from None


def accept_loss(desk: Desk, reason: str) -> None:
    """Go on with an archive that is not what was signed last, and let the ledger say so for good."""
    ledger = Ledger(desk.archive, desk.keys)
    fault = ledger.why_nothing_can_be_added()
    if fault is None:
        raise BadInput("nothing is lost: the ledger is what was signed last", hint="leave out --accept-loss")
    lost = desk.keys.last_signed(desk.archive)
    body = {"reason": reason, "instead_of": fault.message, "lost": lost.text() if lost else None}
    ledger.append(EntryKind.RESTORED, at=desk.clock(), who=desk.who, body=body, despite_loss=True)
