"""What a person sees who follows a run: its output as it comes, and below it how far it is against earlier runs."""

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from ops_lib.model.journal import Event
from ops_lib.model.result import MIME_TYPE
from ops_lib.model.times import format_seconds
from ops_lib.model.verdict import plain
from ops_lib.operations.pace import Pace

_COLOURS = {"critical": "bold red", "warning": "yellow", "info": "dim"}


class Follow:
    """Listens to a run and shows it on standard error. Used as a context; `pace` says what is usual of a runbook."""

    def __init__(self, pace: Callable[[str], Pace], console: Console | None = None) -> None:
        self._pace_of, self._pace = pace, Pace()
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        usual = TextColumn("{task.fields[usual]}", style="dim")
        self._bar = Progress(*columns, usual, console=self._console, transient=True)
        self._task: TaskID = self._bar.add_task("starting", total=None, usual="")
        self._headings: dict[str, str] = {}
        self._unfinished = self._heading = ""

    def __enter__(self) -> "Follow":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()
        self._bar.stop()

    def __call__(self, event: Event) -> None:
        """Take one event of a run's journal into account."""
        match event["kind"]:
            case "opened":
                self._pace = self._pace_of(event["runbook"]["id"])
            case "planned":
                self._planned(event["cells"])
            case "cell-began":
                self._began(event["cell"])
            case "output":
                self._output(event["type"], event["content"])
            case "cell-ended":
                self._let_go()
                self._bar.advance(self._task)
            case "step-began" | "step-carried" | "step-retried" | "step-ended" | "queued" | "stopping":
                self._say(_told(event), "bold")

    def _planned(self, cells: list[dict[str, Any]]) -> None:
        self._headings = {cell["id"]: cell["heading"] or "" for cell in cells}
        whole = self._pace.seconds
        usual = f"usually {format_seconds(whole)}" if whole is not None else "the first run of it"
        self._bar.update(self._task, total=len(cells), completed=0, usual=usual)

    def _began(self, cell: str) -> None:
        heading = plain(self._headings.get(cell) or "reading the runbook")
        usual = self._pace.cells.get(cell)
        beside = f" (usually {format_seconds(usual)})" if usual is not None and usual >= 1 else ""
        if not self._console.is_terminal and heading != self._heading:
            self._say(heading + beside, "bold")
        self._heading = heading
        self._bar.update(self._task, description=escape(f"{heading}{beside}"))

    def _output(self, kind: str, content: Any) -> None:
        data = content.get("data", {})
        if kind == "stream":
            self._stream(content["text"])
        elif kind == "error":
            self._say(f"{content['ename']}: {content['evalue']}", "red")
        elif MIME_TYPE in data:
            self._found(data[MIME_TYPE])
        elif "text/plain" in data:
            for line in str(data["text/plain"]).splitlines():
                self._say(line)

    def _stream(self, text: str) -> None:
        *lines, self._unfinished = (self._unfinished + text).split("\n")
        for line in lines:
            self._say(line)

    def _let_go(self) -> None:
        left, self._unfinished = self._unfinished, ""
        if left:
            self._say(left)

    def _found(self, result: Any) -> None:
        self._say(result["verdict"])
        for finding in result["findings"]:
            self._say(f"{finding['severity']:>8}  {finding['summary']}", _COLOURS[finding["severity"]])

    def _say(self, text: str, style: str = "") -> None:
        """A line as it is: nothing in it is markup, and nothing in it moves the cursor."""
        shown = "".join(letter if letter.isprintable() else "?" for letter in text.expandtabs())
        self._bar.console.print(Text(shown, style=style))


def _told(event: Event) -> str:
    match event["kind"]:
        case "step-began":
            return f"step {event['name']}: begun"
        case "step-ended":
            return f"step {event['name']}: {event['status']} in {format_seconds(event['seconds'])}"
        case "step-carried":
            return f"step {event['name']}: carried, it was done before"
        case "step-retried":
            return f"step {event['name']}: attempt {event['attempt']}, since {event['error']}"
        case "queued":
            return f"waiting: the target is being changed by {event['behind']}"
    after = f" after step {event['after']}; Ctrl-C again stops at once" if event["after"] else ""
    return f"stopping{after}"
