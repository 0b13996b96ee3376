"""The first screen: what was saved and what it cost, in one sentence and four numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from qsim.errors import DataError
from reports.text import factor, percent, points, quantity
from reports.views import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One big number: ``value`` exact in SI units, percent for errors."""

    label: str
    text: str
    value: float | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The sentence under the title and the tiles; ``machine`` is the one spoken of."""

    machine: str
    sentence: str
    tiles: tuple[Tile, ...]


def best_of(machines: Sequence[Machine]) -> Machine:
    """Return the machine with the least energy, other than the baseline if there is another."""
    return min(machines[1:] or machines, key=lambda machine: machine.joules)


def headline(machines: Sequence[Machine], highlight: str | None = None) -> Headline:
    """Return the first screen of a report about ``machines``, the first of which is the baseline.

    ``highlight`` names the machine to speak of, None for the one with the least energy. Raises :class:`DataError` for an unknown one.
    """
    base, best = machines[0], best_of(machines)
    if highlight is not None:
        named = {machine.run.architecture.name: machine for machine in machines} | {machine.label: machine for machine in machines}
        if highlight not in named:
            raise DataError(path="highlight", rule="the name of a machine in the report", value=highlight, legal=named)
        best = named[highlight]
    run = best.run
    sentence = f"{run.workload.name}, recipe {run.recipe.name}, on {best.label}: {run.ratio:.1f} times smaller than float32"
    if best is not base and best.joules and run.seconds:
        sentence += f", {_compared(base.joules / best.joules, 'less', 'more')} energy"
        sentence += f" and {_compared(base.run.seconds / run.seconds, 'less', 'more')} time per inference than {base.label}"
    sentence += f". Energy priced with {run.technology.name}; {_inputs(len(run.inputs))}, {run.engine} engine."
    return Headline(
        machine=best.label,
        sentence=sentence,
        tiles=(
            Tile(
                label="Smaller",
                text=factor(run.ratio),
                value=run.ratio,
                detail=f"{quantity(run.float_bytes, 'B')} of float32 in a file of {quantity(run.file_bytes, 'B')}",
            ),
            _error_tile(best),
            Tile(
                label="Energy per inference",
                text=quantity(best.joules, "J"),
                value=best.joules,
                detail=_against(base, best, base.joules, best.joules, "J", "less energy", "more energy"),
            ),
            Tile(
                label="Time per inference",
                text=quantity(run.seconds, "s"),
                value=run.seconds,
                detail=_against(base, best, base.run.seconds, run.seconds, "s", "faster", "slower"),
            ),
        ),
    )


def _compared(ratio: float, less: str, more: str) -> str:
    return f"{ratio:.1f} times {less}" if ratio >= 1 else f"{1 / ratio:.1f} times {more}"


def _inputs(count: int) -> str:
    return "one input" if count == 1 else f"mean over {count:,} inputs"


def _against(base: Machine, best: Machine, before: float, after: float, unit: str, better: str, worse: str) -> str:
    if best is base:
        return f"on {best.label}, the baseline"
    if not before or not after:
        return f"on {best.label}"
    ratio, word = (before / after, better) if before >= after else (after / before, worse)
    return f"{factor(ratio)} {word} than {base.label} ({quantity(before, unit)})"


def _error_tile(best: Machine) -> Tile:
    quality = best.run.quality
    if quality is None or quality.test_error is None:
        return Tile(label="Test error", text="not measured", value=None, detail=f"weights: {best.run.weight_source or 'source not stated'}")
    detail = f"on {quality.test_images:,} test images"
    if quality.float_test_error is not None:
        change = points(quality.test_error - quality.float_test_error)
        detail = f"{percent(quality.float_test_error)} before compression: {change} points {detail}"
    return Tile(label="Test error", text=percent(quality.test_error), value=quality.test_error, detail=detail)
