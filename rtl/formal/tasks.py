"""What is proved, about which component, and for how long."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

from qsim.arch.architecture import PEKind
from rtl.formal import address, decoder, dot, drain, entries, harnesses, loader, memory, pulses, scan, sequencer, transfer
from rtl.formal.bugs import Bug
from rtl.formal.prover import Method


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A proof: ``make`` builds the harness from the component's ``module``, the real one or one with a bug; ``says``: what it proves.

    ``depth``: cycles of a bounded run, 0 for a proof for all time; ``covers``: cycles in which the covers are reached, which shows that the
    assumptions leave something to prove. ``quick``: part of the tests.
    """

    name: str
    says: str
    module: str
    make: Callable[[ModuleType], object]
    depth: int = 0
    covers: int = 12
    quick: bool = False

    @property
    def method(self) -> Method:
        """How it is decided."""
        return Method.BOUNDED if self.depth else Method.UNBOUNDED


def tasks() -> dict[str, Task]:
    """Return all proofs by name."""
    return {task.name: task for task in (*_streams(), *_pyramids(), *_pe(), *_array(), *_network(), *_decoders())}


def _streams() -> list[Task]:
    order, stream = "order, stability, no deadlock", "rtl.stream"
    queues = [
        Task(name=f"queue of {depth}", says=order, module=stream, make=partial(harnesses.queue, depth=depth), quick=depth < 3)
        for depth in (1, 2, 3, 4)
    ]
    fork = harnesses.fork
    return [
        *queues,
        Task(name="fork of 3", says=order, module=stream, make=partial(fork, branches=3, depth=None), quick=True),
        Task(name="fork into queues of 1", says=order, module=stream, make=partial(fork, branches=2, depth=1)),
        Task(name="fork into queues of 2", says=order, module=stream, make=partial(fork, branches=3, depth=2)),
        *(
            Task(name=f"broadcast into queues of {depth}", says=order, module="rtl.broadcast", make=partial(fork, branches=2, depth=depth))
            for depth in (1, 2, 4)
        ),
        Task(name="codebook", says="order, stability, weight", module="rtl.codebook", make=harnesses.codebook, quick=True),
    ]


def _pyramids() -> list[Task]:
    index = partial(harnesses.pyramid_index, n=2, k=2)
    return [
        Task(name="pyramid index (2, 2)", says="order, stability, coordinates", module="rtl.pvq.index", make=index),
        Task(name="pyramid dot", says="order, stability, product", module="rtl.pvq.dot", make=dot.pyramid_dot, depth=12),
    ]


def _pe() -> list[Task]:
    reader = "every entry once, on time"
    return [
        Task(name="pointer fetch", says="order, stability, pointers", module="rtl.pe.fetch", make=harnesses.pointer_fetch),
        Task(name="pointers ahead", says="order, stability, pointers", module="rtl.pe.ahead", make=harnesses.pointers_ahead),
        *(
            Task(
                name=f"column address, PE {pe}",
                says="order, stability, address",
                module="rtl.pe.address",
                make=partial(address.column_address, pe=pe),
            )
            for pe in (0, 1)
        ),
        *(
            Task(name=f"entry reader, {kind}", says=reader, module="rtl.pe.entries", make=partial(entries.entry_reader, kind=kind))
            for kind in (PEKind.SPARSE, PEKind.DENSE)
        ),
        Task(
            name="entry reader, pointers ahead",
            says=reader,
            module="rtl.pe.entries",
            make=partial(entries.entry_reader, kind=PEKind.SPARSE, queue_latency=2),
        ),
        Task(name="pulse steps", says="every term as often as due", module="rtl.pe.pulses", make=pulses.pulse_steps, quick=True),
    ]


def _array() -> list[Task]:
    wanted, module = "every non-zero once, in order, stable", "rtl.nonzero"
    memories = (("3 PEs", 3, 12), ("2 PEs", 2, 4))
    return [
        Task(name="scan, 2 rows of 2", says=wanted, module=module, make=partial(scan.nonzero_scan, rows=2, width=2, bits=2)),
        Task(
            name="scan, 6 rows of 1",
            says=wanted,
            module=module,
            make=partial(scan.nonzero_scan, rows=6, width=1, bits=1),
            depth=13,
            covers=18,
        ),
        *(
            Task(
                name=f"activation rows, {name}",
                says="a row holds what was last written",
                module="rtl.activations",
                make=partial(memory.activation_memory, pes=pes, width=2, columns=columns),
            )
            for name, pes, columns in memories
        ),
        Task(name="drain", says="every row once, on time", module="rtl.drain", make=drain.drain, covers=20),
    ]


def _network() -> list[Task]:
    halts, written = "in range, halts with an error", "every row once, to its place"
    offered = "every row once, stable; best"
    return [
        Task(name="input writer", says=written, module="rtl.transfer", make=transfer.input_writer, quick=True),
        Task(name="output reader", says=offered, module="rtl.transfer", make=transfer.output_reader, covers=20),
        *(
            Task(
                name=f"sequencer, {kind}",
                says=halts,
                module="rtl.sequencer",
                make=partial(sequencer.sequencer, kind=kind),
                covers=50,
            )
            for kind in (PEKind.SPARSE, PEKind.DENSE)
        ),
        Task(
            name="sequencer, streamed",
            says=halts,
            module="rtl.sequencer",
            make=partial(sequencer.sequencer, kind=PEKind.SPARSE, streamed=True),
            covers=50,
        ),
    ]


def _decoders() -> list[Task]:
    says, module = "symbols, stability, errors, ends", "rtl.huffman"
    load = Task(name="entry loader", says="in range, ends, halts with an error", module="rtl.loader", make=loader.entry_loader, covers=24)
    codes = (("huffman", decoder.COMPLETE), ("huffman, one symbol", decoder.SINGLE))
    make = [(name, partial(decoder.huffman, code=code)) for name, code in codes]
    return [*(Task(name=name, says=says, module=module, make=one, depth=15, covers=15) for name, one in make), load]


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
