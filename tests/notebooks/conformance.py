"""What a kernel must do alike, however it came to be: cells, and what they are about.

`write` makes a notebook of them. Each cell is one that a fork could get wrong.
"""

import json
from pathlib import Path

# ruff: noqa: E501 - a cell is a line

CELLS = {
    "print": "print('one'); print('two')",
    "expression": "{'a': [1, 2.5, None]}",
    "stderr": "import sys; print('to stderr', file=sys.stderr)",
    "no output": "x = 41",
    "state": "x + 1",
    "import as a stranger": "import __main__; __main__.x",
    "argument list": "import sys; [a.rpartition('/')[2] for a in sys.argv if not a.endswith('.json') and a[:2] != '--']",
    "path": "sys.path[0]",
    "folder": "import os; os.getcwd() == os.path.realpath('.') and _dh[0].samefile('.')",
    "environment": "os.environ['CONFORMANCE'], os.environ['MPLBACKEND'], os.environ['TERM'], 'COLUMNS' in os.environ",
    "environment in C": "import ctypes; ctypes.CDLL(None).getenv(b'CONFORMANCE') != 0",
    "environment of a child": "!echo $CONFORMANCE",
    "who I am by /proc": "open('/proc/self/environ').read().count(os.environ['RUNBOOK_RUN_ID'])",
    "line magic": "%who_ls int",
    "cell magic": "%%bash\necho from bash; echo aside >&2",
    "capture": "%%capture kept\nprint('hidden')",
    "captured": "kept.stdout",
    "system": "files = !printf 'a\\nb\\n'\nfiles",
    "timeit is silent here": "%timeit -q -n1 -r1 pass",
    "await": "import asyncio; await asyncio.sleep(0, 'awaited')",
    "async generator": "async def steps():\n    for n in range(3):\n        yield n\n[n async for n in steps()]",
    "thread": "import threading\nt = threading.Thread(target=lambda: print('from a thread'))\nt.start(); t.join()",
    "multiprocessing": "import multiprocessing as mp\nwith mp.get_context('fork').Pool(2) as pool: print(pool.map(abs, [-1, -2]))",
    "subprocess": "import subprocess; subprocess.run(['echo', 'from a child'], capture_output=True, text=True).stdout",
    "standard input of a child": "subprocess.run(['cat'], capture_output=True).stdout",
    "raw descriptors": "import time; _ = os.write(1, b'raw one\\n'); time.sleep(0.3)",
    "signals": "import signal; [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP)]",
    "interrupt": "try:\n    os.kill(os.getpid(), signal.SIGINT); time.sleep(5)\nexcept KeyboardInterrupt:\n    print('interrupted')",
    "umask": "m = os.umask(0); _ = os.umask(m); oct(m)",
    "open files": "sorted(os.readlink(f'/proc/self/fd/{n}').partition(':')[0] for n in (0,))",
    "warning": "import warnings; warnings.warn('careful')",
    "deprecation": "warnings.warn('old', DeprecationWarning)",
    "display": "from IPython.display import HTML, Markdown, display; display(HTML('<b>b</b>'), Markdown('*m*'))",
    "display to update": "handle = display('first', display_id='shown'); print('after')",
    "update": "handle.update('second')",
    "clear": "from IPython.display import clear_output\nprint('gone'); clear_output(); print('stays')",
    "clear later": "print('gone'); clear_output(wait=True); print('stays')",
    "frame": "import pandas as pd; pd.DataFrame({'a': [1, 2], 'b': ['x', None]})",
    "picture": "import matplotlib.pyplot as plt\nfig, axis = plt.subplots(figsize=(2, 1)); axis.plot([1, 3, 2])",
    "two pictures": "plt.figure(figsize=(1, 1)); plt.plot([1]); plt.show(); plt.figure(figsize=(1, 1)); plt.plot([2]); plt.show()",
    "backend": "import matplotlib; matplotlib.get_backend()",
    "random numbers differ from none": "import random, numpy; (random.random() != random.random(), numpy.random.rand() < 1)",
    "numpy": "numpy.linalg.solve(numpy.eye(64) * 2, numpy.ones(64)).sum()",
    "sqlite": "import sqlite3; sqlite3.connect(':memory:').execute('select 6 * 7').fetchone()",
    "psycopg refused": "import psycopg\ntry:\n    psycopg.connect('host=/nonexistent dbname=x')\nexcept psycopg.OperationalError as e:\n    print(type(e).__name__)",
    "psycopg": "psycopg.connect(os.environ['CONFORMANCE_DSN']).execute('select 1 + 1').fetchone() if os.environ.get('CONFORMANCE_DSN') else (2,)",
    "sqlalchemy": "import sqlalchemy; sqlalchemy.create_engine('sqlite://').connect().exec_driver_sql('select 1').scalar()",
    "parser": "import pglast; pglast.parse_sql('select 1')[0].stmt.__class__.__name__",
    "secure socket": "import ssl; ssl.create_default_context().verify_mode.name",
    "pickle": "import pickle; pickle.loads(pickle.dumps({'k': (1, 2)}))",
    "class": "class Thing:\n    def __repr__(self): return f'<a thing of {type(self).__module__}>'\nThing()",
    "identifiers differ": "import uuid; uuid.uuid4() != uuid.uuid4()",
    "temporary folder": "import tempfile; tempfile.gettempdir()",
    "time zone": "time.tzname",
    "locale": "import locale; locale.getlocale()",
    "subinterpreter of python": "!{sys.executable} -c 'print(1 + 1)'",
    "history": "In[5]",
    "last result": "6 * 7",
    "and its name": "_",
    "no input": "try:\n    input('?')\nexcept Exception as e:\n    print(type(e).__name__)",
    "object help": "from IPython import get_ipython; type(get_ipython()).__name__",
    "exit handlers": "import atexit; atexit.register(print, 'bye') is print",
    "error that is expected": "1 / 0",
    "and goes on": "'still here'",
    "syntax error": "def broken(:",
    "system exit": "raise SystemExit(3)",
    "error in the end": "raise ValueError('the end')",
}  # fmt: skip
MAY_FAIL = {"error that is expected", "syntax error", "system exit", "error in the end"}


def notebook() -> dict[str, object]:
    """All cells, each named by what it is about."""
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [_cell(*item) for item in CELLS.items()]}


def _cell(about: str, source: str) -> dict[str, object]:
    tags = ["raises-exception"] if about in MAY_FAIL else []
    return {
        "cell_type": "code", "id": about.replace(" ", "-").replace("/", ""), "metadata": {"tags": tags},
        "source": source, "outputs": [], "execution_count": None,
    }  # fmt: skip


def write(path: Path) -> Path:
    """The notebook as a file."""
    path.write_text(json.dumps(notebook()))
    return path
