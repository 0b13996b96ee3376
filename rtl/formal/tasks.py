"""What is proved, and which one-line bugs the proofs must catch."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

from qsim.arch.architecture import PEKind
from rtl.formal import address, decoder, dot, drain, entries, harnesses, memory, pulses, scan, sequencer, transfer
from rtl.formal.prover import Method


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A proof: ``make`` builds the harness from the component's ``module``, the real one or one with a bug.

    ``depth``: cycles of a bounded run; ``covers``: cycles in which the covers are reached, which shows that the assumptions leave
    something to prove. ``quick``: part of the tests.
    """

    name: str
    module: str
    make: Callable[[ModuleType], object]
    method: Method = Method.UNBOUNDED
    depth: int = 0
    covers: int = 12
    quick: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """A change of one line, from ``old`` to ``new``, in the source of a task's module; the task must then fail."""

    name: str
    task: str
    old: str
    new: str
    depth: int = 14


def tasks() -> dict[str, Task]:
    """Return all proofs by name."""
    stream, found = "rtl.stream", []
    for depth in (1, 2, 3, 4):
        found.append(Task(name=f"queue of {depth}", module=stream, make=partial(harnesses.queue, depth=depth), quick=depth < 3))
    found += [
        Task(name="fork of 3", module=stream, make=partial(harnesses.fork, branches=3, depth=None), quick=True),
        Task(name="fork into queues of 1", module=stream, make=partial(harnesses.fork, branches=2, depth=1)),
        Task(name="fork into queues of 2", module=stream, make=partial(harnesses.fork, branches=3, depth=2)),
        Task(name="codebook", module="rtl.codebook", make=harnesses.codebook, quick=True),
        Task(name="pointer fetch", module="rtl.pe.fetch", make=harnesses.pointer_fetch),
        Task(name="pyramid index (2, 2)", module="rtl.pvq.index", make=partial(harnesses.pyramid_index, n=2, k=2)),
        Task(name="pyramid dot", module="rtl.pvq.dot", make=dot.pyramid_dot),
        Task(name="column address, PE 0", module="rtl.pe.address", make=partial(address.column_address, pe=0)),
        Task(name="column address, PE 1", module="rtl.pe.address", make=partial(address.column_address, pe=1)),
        Task(name="entry reader, sparse", module="rtl.pe.entries", make=partial(entries.entry_reader, kind=PEKind.SPARSE)),
        Task(name="entry reader, dense", module="rtl.pe.entries", make=partial(entries.entry_reader, kind=PEKind.DENSE)),
        Task(name="pulse steps", module="rtl.pe.pulses", make=pulses.pulse_steps),
        Task(name="scan, 2 rows of 2", module="rtl.nonzero", make=partial(scan.nonzero_scan, rows=2, width=2, bits=2)),
        Task(name="scan, 6 rows of 1", module="rtl.nonzero", make=partial(scan.nonzero_scan, rows=6, width=1, bits=1), covers=18),
        Task(name="drain", module="rtl.drain", make=drain.drain, covers=20),
        Task(name="activation rows, 3 PEs", module="rtl.activations", make=partial(memory.activation_memory, pes=3, width=2, columns=12)),
        Task(name="activation rows, 2 PEs", module="rtl.activations", make=partial(memory.activation_memory, pes=2, width=2, columns=4)),
        Task(name="sequencer, sparse", module="rtl.sequencer", make=partial(sequencer.sequencer, kind=PEKind.SPARSE), covers=50),
        Task(name="sequencer, dense", module="rtl.sequencer", make=partial(sequencer.sequencer, kind=PEKind.DENSE), covers=50),
        Task(name="input writer", module="rtl.transfer", make=transfer.input_writer),
        Task(name="output reader", module="rtl.transfer", make=transfer.output_reader, covers=20),
        Task(
            name="huffman",
            module="rtl.huffman",
            make=partial(decoder.huffman, code=decoder.COMPLETE),
            method=Method.BOUNDED,
            depth=15,
            covers=15,
        ),
        Task(
            name="huffman, one symbol",
            module="rtl.huffman",
            make=partial(decoder.huffman, code=decoder.SINGLE),
            method=Method.BOUNDED,
            depth=15,
            covers=15,
        ),
    ]
    return {task.name: task for task in found}


BUGS = (
    Bug(name="queue takes one item too many", task="queue of 2", old="self.level + pushed < self.depth", new="self.level < self.depth"),
    Bug(name="queue does not move on", task="queue of 2", old="_next(port.addr, self.depth)", new="port.addr"),
    Bug(name="fork offers before all are ready", task="fork of 3", old="eq(self.i.valid & self.i.ready)]", new="eq(self.i.valid)]"),
    Bug(name="codebook forgets to hold", task="codebook", old="with m.If(self.i.ready):", new="with m.If(1):"),
    Bug(name="decoder needs no last word", task="huffman", old=" | ~code.ended", new=""),
    Bug(name="decoder puts words too low", task="huffman", old="word >> level", new="word >> held"),
    Bug(name="decoder lets codes run past the end", task="huffman", old=" | (used > left)", new=""),
    Bug(name="decoder moves on when stalled", task="huffman", old="eq(~self.o.valid | self.o.ready)", new="eq(1)"),
)


def source_of(task: Task, bug: Bug | None = None) -> ModuleType:
    """Return the module of a task, with a bug in it if given.

    Raises ``ValueError`` unless the bug's line stands in the source exactly once.
    """
    module = import_module(task.module)
    if bug is None:
        return module
    text = Path(str(module.__file__)).read_text()
    if text.count(bug.old) != 1:
        raise ValueError(f"{task.module} must hold {bug.old!r} once, not {text.count(bug.old)} times")
    broken = ModuleType(task.module)
    exec(compile(text.replace(bug.old, bug.new), f"<{bug.name}>", "exec"), broken.__dict__)
    return broken
