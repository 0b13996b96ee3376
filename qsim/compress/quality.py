"""How often a network is wrong: the float one and the integer one, on any split."""

from dataclasses import dataclass

from qsim.compress.network import Layout, Samples, error_count
from qsim.compress.reference import TorchReference
from qsim.compress.task import FloatState, SplitLike, TaskLike
from qsim.model.compressed import CompressedModel

CHUNK = 500  # inputs at once: the sequential path keeps one accumulator an input and output


@dataclass(frozen=True, slots=True)
class Errors:
    """``wrong`` of ``count`` samples."""

    wrong: int
    count: int

    @property
    def percent(self) -> float:
        """Error rate in percent."""
        return 100.0 * self.wrong / self.count


def float_errors(task: TaskLike, state: FloatState, split: SplitLike) -> Errors:
    """Count the errors of the float network with weights ``state``."""
    layout = Layout.of(task.layers)
    return Errors(error_count(layout, layout.pack(state), Samples.of(split, task.normalisation)), len(split.labels))


def integer_errors(model: CompressedModel, split: SplitLike) -> Errors:
    """Count the errors of the integer network; of equal logits, the first class counts."""
    reference, classes = TorchReference(model), model.output_classes
    wrong = 0
    for start in range(0, len(split.labels), CHUNK):
        part = slice(start, start + CHUNK)
        wrong += int((classes[reference(split.images[part]).argmax(axis=1)] != split.labels[part]).sum())
    return Errors(wrong, len(split.labels))
