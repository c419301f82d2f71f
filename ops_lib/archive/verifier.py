#!/usr/bin/env python3
"""Is this record of a run what was signed? One file, Python 3.9 or later, nothing else to install.

    python verifier.py [FOLDER] [--key KEY]

FOLDER is the record (default: the folder `record` beside this file). KEY is the public key, or a file of some, that
you had before you were given the record (default: key.vkey beside this file, which only shows that the parts belong
together). It prints OK, or a line for everything that is wrong, and exits with 0 or 6,
and with 2 where it was asked for something else or the key cannot be read.

What is recomputed: the SHA-256 of every file against the entries in proof.json; the way from each entry to the root of
the signed head (RFC 6962); the Ed25519 signature of that head (C2SP signed note). Written apart from the program that
made the record, so that the two can be held against one another.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)
BASE_Y = 4 * pow(5, P - 2, P) % P


Point = tuple[int, int, int, int]
Key = tuple[str, bytes, bytes]


def sha(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def unpack64(text: str) -> bytes:
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError("not in canonical base 64")
    return raw


# Ed25519 as in RFC 8032, for machines without the library `cryptography`. Slow, and only ever checks.


def x_of(y: int, sign: int) -> int:
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P or y >= P or (x == 0 and sign):
        raise ValueError("not a point of the curve")
    return x if x & 1 == sign else P - x


def point_of(raw: bytes) -> Point:
    number = int.from_bytes(raw, "little")
    y = number & (1 << 255) - 1
    x = x_of(y, number >> 255)
    return (x, y, 1, x * y % P)


def plus(one: Point, other: Point) -> Point:
    a, b = (one[1] - one[0]) * (other[1] - other[0]), (one[1] + one[0]) * (other[1] + other[0])
    c, d = 2 * one[3] * other[3] * D, 2 * one[2] * other[2]
    e, f, g, h = (b - a) % P, (d - c) % P, (d + c) % P, (b + a) % P
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(number: int, point: Point) -> Point:
    result = (0, 1, 1, 0)
    while number:
        if number & 1:
            result = plus(result, point)
        point, number = plus(point, point), number >> 1
    return result


def signed_slowly(public: bytes, signature: bytes, message: bytes) -> bool:
    scalar = int.from_bytes(signature[32:], "little")
    if len(public) != 32 or len(signature) != 64 or scalar >= L:
        return False
    base_x = x_of(BASE_Y, 0)
    try:
        key, nonce = point_of(public), point_of(signature[:32])
    except ValueError:
        return False
    digest = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    left = times(scalar, (base_x, BASE_Y, 1, base_x * BASE_Y % P))
    right = plus(nonce, times(digest, key))
    same_x = (left[0] * right[2] - right[0] * left[2]) % P == 0
    return same_x and (left[1] * right[2] - right[1] * left[2]) % P == 0


def signed(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - it may be missing
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
    except ImportError:
        return signed_slowly(public, signature, message)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


# Formats.


def keys_of(text: str) -> list[Key]:
    """Name, id and public key of each line NAME+ID+KEY."""
    found = []
    for line in text.split("\n"):
        if line.strip():
            name, stated, encoded = line.strip().split("+", 2)
            key_id, raw = bytes.fromhex(stated), unpack64(encoded)
            if raw[:1] != b"\x01" or sha(name.encode() + b"\n" + raw)[:4] != key_id:
                raise ValueError(f"the id of key {name} does not fit")
            found.append((name, key_id, raw[1:]))
    return found


def head_of(text: str) -> tuple[bytes, str, int, bytes, Key]:
    """Body, origin, size, root, and the only signature (name, id, value) of a signed head."""
    body, signature = text.split("\n\n")
    origin, size, root = body.split("\n")
    if not signature.startswith("\u2014 ") or not signature.endswith("\n") or signature.count("\n") != 1:
        raise ValueError("not one signature")
    name, encoded = signature[2:-1].split(" ")
    raw = unpack64(encoded)
    if str(int(size)) != size:
        raise ValueError("not a size")
    return body.encode() + b"\n", origin, int(size), unpack64(root), (name, raw[:4], raw[4:])


def root_from(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """The root to which an inclusion proof leads, worked out from the shape of the tree."""
    if size == 1:
        if path:
            raise ValueError("the inclusion proof is too long")
        return leaf
    half = 1
    while half * 2 < size:
        half *= 2
    if not path:
        raise ValueError("the inclusion proof is too short")
    if index < half:
        return sha(b"\x01" + root_from(index, half, leaf, path[:-1]) + path[-1])
    return sha(b"\x01" + path[-1] + root_from(index - half, size - half, leaf, path[:-1]))


def faults_of(folder: Path, keys: Iterable[Key]) -> list[str]:
    """Everything that is wrong with a record folder, a sentence each."""
    try:
        content = (folder / "proof.json").read_bytes()
        proof = json.loads(content)
        if canonical(proof) + b"\n" != content or set(proof) != {"schema", "entries", "head"} or proof["schema"] != 1:
            return ["proof.json was changed"]
        body, origin, size, root, signature = head_of(proof["head"])
        entries = [item["entry"] for item in proof["entries"]]
        faults = list(entry_faults(proof["entries"], size, root))
        files = expected(entries)
    except FileNotFoundError:
        return ["proof.json is missing"]
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        return [f"proof.json was changed: {error}"]
    good = [key for key in keys if key[:2] == signature[:2] and key[0] == origin]
    if not any(signed(public, signature[2], body) for _, _, public in good):
        faults.append("proof.json holds a head that is not signed by this key")
    return faults or list(file_faults(folder, files))


def entry_faults(proven: list[Any], size: int, root: bytes) -> Iterator[str]:
    run = proven[0]["entry"]["run_id"]
    if proven[0]["entry"]["kind"] != "result":
        yield "proof.json does not begin with the result of a run"
    last = -1
    for item in proven:
        if set(item) != {"entry", "inclusion"}:
            yield "proof.json holds more than it should"
        entry = item["entry"]
        if last >= 0 and (entry["kind"] != "tombstone" or entry["run_id"] != run or entry["seq"] <= last):
            yield "proof.json holds an entry that does not belong to this run"
        last = entry["seq"]
        if hashlib.sha256(canonical(entry["body"])).hexdigest() != entry["body_sha256"]:
            yield f"entry {last} has a body that does not fit its digest"
        path = [unpack64(text) for text in item["inclusion"]]
        if not 0 <= last < size or root_from(last, size, sha(b"\x00" + canonical(entry)), path) != root:
            yield f"entry {last} is not in the signed head"


def expected(entries: list[Any]) -> dict[str, tuple[str, int]]:
    """Digest and size of every file, with what was redacted since."""
    files = {item["path"]: (item["sha256"], item["bytes"]) for item in entries[0]["body"]["files"]}
    for entry in entries[1:]:
        for item in entry["body"].get("files", []) if entry["body"]["action"] == "redact" else []:
            files[item["path"]] = (item["after"]["sha256"], item["after"]["bytes"])
    return files


def file_faults(folder: Path, files: dict[str, tuple[str, int]]) -> Iterator[str]:
    there: set[str] = set()
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        there.update((Path(place) / name).relative_to(folder).as_posix() for name in names + links)
    for path in sorted(set(files) - there):
        yield f"{path} is missing"
    for path in sorted(there - set(files) - {"proof.json"}):
        yield f"{path} was added"
    for path in sorted(there & set(files)):
        full = folder / path
        if full.is_symlink() or not full.is_file() or digest(full) != files[path]:
            yield f"{path} was changed"


def digest(path: Path) -> tuple[str, int]:
    total, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            total.update(block)
            size += len(block)
    return total.hexdigest(), size


def key_text(given: str | None, here: Path) -> str:
    if given and "+" in given and not Path(given).exists():
        return given
    return (Path(given) if given else here / "key.vkey").read_text(encoding="utf-8")


def main(arguments: list[str]) -> int:
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", type=Path, nargs="?", default=here / "record")
    parser.add_argument("--key", metavar="KEY")
    asked = parser.parse_args(arguments)
    folder, given = asked.folder, asked.key
    try:
        keys = keys_of(key_text(given, here))
    except (OSError, ValueError) as error:
        if given:
            parser.error(f"the key cannot be read: {error}")
        sys.stdout.write(f"DOES NOT VERIFY: key.vkey cannot be read: {error}\n")
        return 6
    faults = faults_of(folder, keys)
    lines = [f"DOES NOT VERIFY: {fault}" for fault in faults]
    if not faults:
        entries = [item["entry"] for item in json.loads((folder / "proof.json").read_bytes())["entries"]]
        lines.append(f"OK: run {entries[0]['run_id']} is what was signed")
        lines += [f"redacted {e['at']} by {e['who']}: {e['body']['reason']}" for e in entries[1:]]
        if not given:
            lines.append("The key came with the record: that its parts belong together is all that this shows.")
    sys.stdout.write("\n".join(lines) + "\n")
    return 6 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
