"""What every verb shows alike: the console, progress with time left, and tables."""

import json
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock, Timer

import click
from rich import box
from rich import progress as progress_bars
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from qsim.cli.plain import plain
from qsim.progress import Progress

WIDEST_TEXT = 24  # of a name that stays in one line where the terminal is narrow
PATIENCE_SECONDS = 1.0  # without a word, while data is read and libraries are loaded
# Brackets in names out of files are not markup.
messages = Console(stderr=True, highlight=False, markup=False)


def console() -> Console:
    """Return the console of standard output, wide enough for tables when it is not a terminal."""
    on_terminal = Console(highlight=False, markup=False)
    return on_terminal if on_terminal.is_terminal else Console(highlight=False, markup=False, width=160)


@contextmanager
def progress() -> Iterator[Progress]:
    """Show progress on standard error; yields ``report(stage, done, total)``, one bar a stage."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("so far,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    bars = progress_bars.Progress(*columns, console=messages, transient=False)
    tasks: dict[str, TaskID] = {}
    waiting: list[TaskID] = []
    lock = Lock()

    def wait() -> None:
        with lock:
            if not tasks:
                bars.start()
                waiting.append(bars.add_task("getting ready", total=None))

    def report(stage: str, done: int, total: int) -> None:
        with lock:
            if waiting:
                bars.remove_task(waiting.pop())
            elif not tasks:
                bars.start()  # not before: a mistake that is found at once leaves no empty line
            if stage not in tasks:
                tasks[stage] = bars.add_task(plain(stage), total=total)
            bars.update(tasks[stage], completed=done, total=total)

    patience = Timer(PATIENCE_SECONDS, wait)
    patience.daemon = True
    patience.start()
    try:
        yield report
    finally:
        patience.cancel()
        with lock:
            if waiting:
                bars.remove_task(waiting.pop())
                bars.stop()
            elif tasks:
                bars.stop()


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, caption: str = "", text_columns: int = 1) -> Table:
    """Build a table: the first ``text_columns`` aligned left, the figures right.

    Texts out of files are shown as :func:`plain` text; figures are never broken into lines.
    """
    cells = [[plain(str(cell)) for cell in row] for row in rows]
    widths = [max((len(row[index]) for row in cells), default=0) for index in range(len(columns))]
    room = console().width
    tight = sum(max(pair) for pair in zip(widths, map(len, columns), strict=True)) + 3 * len(widths) + 1 > room
    result = Table(
        title=plain(title), caption=plain(caption) or None, title_justify="left", caption_justify="left",
        box=box.SIMPLE if tight else box.HEAVY_HEAD, padding=0 if tight else (0, 1), pad_edge=not tight,
    )  # fmt: skip
    heads = [_folded(plain(name), width) if tight else plain(name) for name, width in zip(columns, widths, strict=True)]
    needed = [max(width, *map(len, head.split("\n"))) for head, width in zip(heads, widths, strict=True)]
    names = max(WIDEST_TEXT // 4, (room - sum(needed[text_columns:]) - len(needed) - 2) // max(1, text_columns))
    for index, (head, width) in enumerate(zip(heads, needed, strict=True)):
        text = index < text_columns
        result.add_column(
            head, justify="left" if text else "right", overflow="fold", no_wrap=not text,
            max_width=names if tight and text and sum(needed) + len(needed) + 2 > room else None, min_width=None if text else width,
        )  # fmt: skip
    for row in cells:
        result.add_row(*row)
    return result


def _folded(head: str, width: int) -> str:
    """Break the words of a head into lines of at most ``width``, or of its longest word."""
    return "\n".join(textwrap.wrap(head, max(width, *map(len, head.split()), 1)))


def echo_json(data: object) -> None:
    """Print data for scripts."""
    click.echo(json.dumps(data, indent=1))
