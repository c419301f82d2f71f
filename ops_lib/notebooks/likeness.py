"""Whether what was imported before would be imported the same way now: a key of code, packages and settings.

A kernel that was prepared ahead, or a process that holds imported modules, may stand in for a fresh one only where
nothing differs that a fresh one would have read while it started. A thin client asks this at every run, so that only
is imported here what Python has loaded by then, or loads in no time.
"""

import os
import resource
import sys
from _blake2 import blake2b  # what `hashlib` has, which would load OpenSSL first: 4 ms
from collections.abc import Iterator, Mapping

SETTINGS = (
    "HOME", "LANG", "LC_", "LD_", "TZ", "TMPDIR", "PYTHON", "IPYTHON", "JUPYTER", "MPL", "MATPLOTLIB", "OMP_",
    "OPENBLAS_", "MKL_", "NUMEXPR_", "MALLOC_", "GLIBC_TUNABLES", "OPENSSL_", "SSL_CERT_", "XDG_", "COVERAGE_",
    "RUNBOOK_WARM",
)  # fmt: skip
"""How the names of the variables begin that an interpreter or a library reads while it starts."""

_known: dict[str, str] = {}
_LIMITS = tuple(sorted(getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")))
_CONFIGURATION = frozenset({"matplotlibrc", "ipython_config.py", "ipython_kernel_config.py", "sitecustomize.py"})


def key(environment: Mapping[str, str]) -> str:
    """Sixteen letters that are equal where a fresh process would have turned out the same."""
    told = [*_code(), *_packages(), *_settings(environment), *_standing()]
    return blake2b("\n".join(told).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def of_this_process() -> str:
    """The key of this process, which whoever forked it may know without looking."""
    return _known.get("key") or key(os.environ)


def know(found: str) -> None:
    """This process stands in for one that found its own key."""
    _known["key"] = found


def _code() -> list[str]:
    """Every file of this package, by its size and the time of its last change."""
    folders, told = [os.path.dirname(os.path.dirname(__file__))], []  # noqa: PTH120 - as below
    for folder in folders:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.is_dir():
                    status = entry.stat()
                    told.append(f"{entry.path} {status.st_mtime_ns} {status.st_size}")
                elif entry.name != "__pycache__":
                    folders.append(entry.path)
    return sorted(told)


def _packages() -> Iterator[str]:
    """What is installed: distributions, by their names and the time of the last coming or going, and path files."""
    yield f"{sys.prefix} {os.path.realpath(sys.executable)} {sys.version}"
    for folder in sorted({folder for folder in sys.path if folder.endswith("-packages")}):
        yield f"{folder} {os.stat(folder).st_mtime_ns}"  # noqa: PTH116 - as below
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 - as below
            if name.endswith(".dist-info"):
                yield name
            elif name.endswith((".egg-link", ".pth")):
                yield f"{name} {os.stat(f'{folder}/{name}').st_mtime_ns}"  # noqa: PTH116 - as below


def _settings(environment: Mapping[str, str]) -> Iterator[str]:
    return (f"{name}={environment[name]}" for name in sorted(environment) if name.startswith(SETTINGS))


def _standing() -> Iterator[str]:
    """Account, limits, niceness and namespaces of this process: what a child inherits."""
    yield f"{os.getresuid()} {os.getresgid()} {sorted(os.getgroups())} {os.getpriority(os.PRIO_PROCESS, 0)}"
    yield " ".join(str(resource.getrlimit(limit)) for limit in _LIMITS)
    yield str(sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else "")
    for name in ("mnt", "net", "pid", "user", "uts", "ipc"):
        try:
            yield os.readlink(f"/proc/self/ns/{name}")  # noqa: PTH115 - pathlib is slower, and this is asked often
        except OSError:
            yield "?"


def shadowed(folder: str, imported: Mapping[str, object]) -> bool:
    """Whether a folder holds a module of a name that was imported from elsewhere, or settings that are read at start.

    A kernel looks for modules in its own folder first, so there it would have found those.
    """
    try:
        names = set(os.listdir(folder))  # noqa: PTH208 - as above
    except OSError:
        return True
    return bool(names & _CONFIGURATION) or any(_shadows(folder, name, imported) for name in names)


def _shadows(folder: str, name: str, imported: Mapping[str, object]) -> bool:
    stem, _, kind = name.partition(".")
    if stem not in imported or not (kind.endswith(("py", "so")) or _is_package(folder, name)):
        return False
    file = getattr(imported[stem], "__file__", None) or ""
    return not file.startswith(os.path.join(os.path.realpath(folder), name))  # noqa: PTH118 - as above


def _is_package(folder: str, name: str) -> bool:
    return os.path.isfile(os.path.join(folder, name, "__init__.py"))  # noqa: PTH113, PTH118 - as above
