"""What every verb shows alike: the console, progress with time left, and tables."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click
from rich import progress as progress_bars
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from qsim.cli.plain import plain
from qsim.progress import Progress

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
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    bars = progress_bars.Progress(*columns, console=messages, transient=False)
    tasks: dict[str, TaskID] = {}

    def report(stage: str, done: int, total: int) -> None:
        if not tasks:
            bars.start()  # not before: a mistake that is found at once leaves no empty line
        if stage not in tasks:
            tasks[stage] = bars.add_task(plain(stage), total=total)
        bars.update(tasks[stage], completed=done, total=total)

    try:
        yield report
    finally:
        if tasks:
            bars.stop()


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, caption: str = "", text_columns: int = 1) -> Table:
    """Build a table: the first ``text_columns`` aligned left, the figures right.

    Texts out of files are shown as :func:`plain` text.
    """
    result = Table(title=plain(title), caption=plain(caption) or None, title_justify="left", caption_justify="left")
    for index, name in enumerate(columns):
        result.add_column(plain(name), justify="left" if index < text_columns else "right", overflow="fold")
    for row in rows:
        result.add_row(*(plain(str(cell)) for cell in row))
    return result


def echo_json(data: object) -> None:
    """Print data for scripts."""
    click.echo(json.dumps(data, indent=1))
