"""SSH signatures over what people say, made and checked by `ssh-keygen -Y`."""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ops_lib.model.errors import BadInput, OpsError
from ops_lib.model.people import Person, allowed_signers

NAMESPACE = "ops-runbooks"
_SECONDS = 120
_PROGRAM = "ssh-keygen"


def sign(content: bytes, key: Path) -> str:
    """The signature over some bytes by the key in a file, or by the agent where the file is a public one."""
    done = _ssh_keygen(["-Y", "sign", "-n", NAMESPACE, "-f", str(key)], content)
    if done.returncode:
        raise BadInput(f"{key} did not sign: {_said(done)}", hint="name a key with --key FILE, or start ssh-agent")
    return done.stdout.decode()


def verifies(content: bytes, signature: str, person: Person) -> bool:
    """Whether a person has signed these bytes with one of the keys that are known to be theirs."""
    with tempfile.TemporaryDirectory(prefix="runbook-sign-") as folder:
        signers, signed = Path(folder, "allowed_signers"), Path(folder, "signature")
        signers.write_text(allowed_signers([person], NAMESPACE), encoding="utf-8")
        signed.write_text(signature, encoding="utf-8")
        given = ["-f", str(signers), "-I", person.name, "-n", NAMESPACE, "-s", str(signed)]
        return _ssh_keygen(["-Y", "verify", *given], content).returncode == 0


def public_key(key: Path) -> str:
    """The public key that belongs to a file; without asking for a passphrase."""
    beside = key if key.suffix == ".pub" else key.with_name(f"{key.name}.pub")
    try:
        return beside.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{beside} cannot be read: {error}", hint="name your SSH key with --key FILE") from None


def _ssh_keygen(arguments: Sequence[str], content: bytes) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(
            [_PROGRAM, *arguments], input=content, capture_output=True, check=False, timeout=_SECONDS,
            env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except FileNotFoundError:
        raise OpsError(f"{_PROGRAM} is missing here", hint="install OpenSSH's client") from None
    except subprocess.TimeoutExpired:
        raise OpsError(f"{_PROGRAM} did not answer", hint="is it waiting for a passphrase? use ssh-agent") from None


def _said(done: "subprocess.CompletedProcess[bytes]") -> str:
    return " ".join(done.stderr.decode(errors="replace").split()) or f"exit code {done.returncode}"
