"""People: who may sign an approval, with which keys, and under which local accounts they work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ops_lib.model.errors import BadInput

_KEYS = ("keys", "users")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody by name; `keys` are SSH public keys as they stand in a `.pub` file, `users` are local accounts."""

    name: str
    keys: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


def people_from(described: Mapping[Any, Any], where: str) -> dict[str, Person]:
    """The people of a file such as `ana: {keys: ["ssh-ed25519 AAAA... ana"], users: [ana]}`, by name."""
    return {str(name): _person(str(name), entry, where) for name, entry in described.items()}


def _person(name: str, entry: object, where: str) -> Person:
    hint = 'write NAME: {keys: ["ssh-ed25519 AAAA..."], users: [ACCOUNT]}'
    if not isinstance(entry, Mapping) or set(entry) - {*_KEYS} or not name.isprintable() or set(name) & set(' ,"*?!'):
        raise BadInput(f"{where}: {name!r} is not understood", hint=hint)
    lists = {key: entry.get(key) or [] for key in _KEYS}
    if not all(isinstance(item, list) and all(_line(text) for text in item) for item in lists.values()):
        raise BadInput(f"{where}: keys and users of {name} are lists of text", hint=hint)
    return Person(name=name, keys=tuple(lists["keys"]), users=tuple(lists["users"] or [name]))


def _line(text: object) -> bool:
    return isinstance(text, str) and bool(text.strip()) and text.isprintable()


def names_of(who: str, people: Mapping[str, Person]) -> frozenset[str]:
    """Everything that somebody is called who works under an account: the account, and the people who have it.

    >>> sorted(names_of("am (as root)", {"ana": Person(name="ana", users=("am",))}))
    ['am', 'ana']
    """
    account = who.removesuffix(" (as root)")
    return frozenset({account, *(person.name for person in people.values() if account in person.users)})


def person_behind(who: str, people: Mapping[str, Person]) -> str:
    """The name of the person who works under an account, or the account where nobody is known to.

    >>> person_behind("am (as root)", {"ana": Person(name="ana", users=("am",))}), person_behind("bo", {})
    ('ana', 'bo')
    """
    account = who.removesuffix(" (as root)")
    return next((person.name for person in people.values() if account in person.users), account)


def allowed_signers(people: Sequence[Person], namespace: str) -> str:
    """The file that `ssh-keygen -Y verify` reads: who may sign with which key.

    >>> allowed_signers([Person(name="ana", keys=("ssh-ed25519 AAAA ana@desk",))], "approval")
    'ana namespaces="approval" ssh-ed25519 AAAA\\n'
    """
    lines = [
        f'{person.name} namespaces="{namespace}" {" ".join(key.split()[:2])}\n'
        for person in people
        for key in person.keys
    ]
    return "".join(lines)


def holder_of(key: str, people: Mapping[str, Person]) -> Person | None:
    """Whose key a public key is; its comment does not count."""
    wanted = key.split()[:2]
    return next((p for p in people.values() if any(known.split()[:2] == wanted for known in p.keys)), None)
