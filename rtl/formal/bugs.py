"""One-line bugs that the proofs must catch: every task has at least one, so that a proof that proves nothing is found out."""

from dataclasses import dataclass

from rtl.formal.prover import Method


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """A change of one line, from ``old`` to ``new``, in the source of the modules of ``tasks``, each of which must then fail within
    ``depth`` cycles; 0: at any time, which finds late failures sooner.
    """

    name: str
    tasks: tuple[str, ...]
    old: str
    new: str
    depth: int = 14

    @property
    def method(self) -> Method:
        """How the failure is looked for."""
        return Method.BOUNDED if self.depth else Method.UNBOUNDED


FORKS = ("fork of 3", "fork into queues of 1", "fork into queues of 2")
BROADCASTS = ("broadcast into queues of 1", "broadcast into queues of 2", "broadcast into queues of 4")
ADDRESSES = ("column address, PE 0", "column address, PE 1")
READERS = ("entry reader, sparse", "entry reader, dense", "entry reader, pointers ahead")
SCANS = ("scan, 2 rows of 2", "scan, 6 rows of 1")
MEMORIES = ("activation rows, 2 PEs", "activation rows, 3 PEs")
SEQUENCERS = ("sequencer, sparse", "sequencer, dense", "sequencer, streamed")
DECODERS = ("huffman", "huffman, one symbol")

BUGS = (
    Bug(
        name="queue takes one item too many",
        tasks=("queue of 1", "queue of 2", "queue of 3", "queue of 4"),
        old="self.level + pushed < self.depth",
        new="self.level < self.depth",
    ),
    Bug(
        name="queue does not move on",
        tasks=("queue of 2", "queue of 3", "queue of 4"),
        old="next_slot(port.addr, self.depth)",
        new="port.addr",
    ),
    Bug(name="fork offers before all are ready", tasks=FORKS, old="eq(self.i.valid & self.i.ready)]", new="eq(self.i.valid)]"),
    Bug(name="broadcast forgets what is on its way", tasks=BROADCASTS[1:], old="Mux(taken & was_taken, three,", new="Mux(0, three,"),
    Bug(name="broadcast takes one item too many", tasks=BROADCASTS, old="level < self.depth - more", new="level <= self.depth - more"),
    Bug(name="codebook forgets to hold", tasks=("codebook",), old="with m.If(self.i.ready):", new="with m.If(1):"),
    Bug(name="fetch takes both from one column", tasks=("pointer fetch",), old="self.item.next_pair", new="self.item.column >> 1"),
    Bug(name="fetch forgets to hold", tasks=("pointer fetch",), old="eq(~self.busy | self.o.ready)", new="eq(1)"),
    Bug(name="one slot too few", tasks=("pointers ahead",), old="slots = p.queue_depth + 1", new="slots = p.queue_depth", depth=0),
    Bug(name="ahead forgets to hold", tasks=("pointers ahead",), old="eq(~self.busy | self.o.ready)", new="eq(1)"),
    Bug(
        name="ahead swaps the banks",
        tasks=("pointers ahead",),
        old="Mux(was_odd, odd_pointer.place",
        new="Mux(~was_odd, odd_pointer.place",
    ),
    Bug(name="index too low for a negative", tasks=("pyramid index (2, 2)",), old="rest >= one", new="rest > one"),
    Bug(name="index forgets to hold", tasks=("pyramid index (2, 2)",), old="moves.eq(~self.o.valid | self.o.ready)", new="moves.eq(1)"),
    Bug(name="dot drops the last pulse", tasks=("pyramid dot",), old="left > 1", new="left > 2"),
    Bug(name="dot forgets to hold", tasks=("pyramid dot",), old="moves.eq(~self.o.valid | self.o.ready)", new="moves.eq(1)"),
    Bug(name="address with one row too many", tasks=ADDRESSES, old="self.pe >= self.layer", new="self.pe > self.layer"),
    Bug(name="address forgets to hold", tasks=ADDRESSES, old="eq(~self.busy | self.o.ready)", new="eq(1)"),
    Bug(name="reader leaves on hold", tasks=READERS[:2], old="alone & ~self.hold), last & ~self.hold)", new="alone & ~self.hold), last)"),
    Bug(name="reader leaves on hold, ahead", tasks=READERS[2:], old="last & (~self.hold | (first & empty))", new="last"),
    Bug(name="reader reads behind the column", tasks=READERS, old="~(first & empty) & ~self.hold", new="~self.hold"),
    Bug(name="reader drops the gap's own row", tasks=READERS, old="0, above + 1)", new="0, above)"),
    Bug(name="pulse steps once too often", tasks=("pulse steps",), old="magnitude - 1", new="magnitude"),
    Bug(name="pulse steps lose an entry", tasks=("pulse steps",), old="self.i.ready.eq(steps_after == 0)", new="self.i.ready.eq(1)"),
    Bug(name="scan goes one column too far", tasks=SCANS, old="held.base + lane < end", new="held.base + lane <= end"),
    Bug(name="scan moves on when stalled", tasks=SCANS[:1], old="moves.eq(self.o.valid & self.o.ready &", new="moves.eq(self.o.valid &"),
    Bug(name="scan names one pair for both pointers", tasks=SCANS, old="pairs[(place + 1) >> 1]", new="pairs[place >> 1]"),
    Bug(name="scan reads without a slot", tasks=SCANS[1:], old=" & (slots != 0)", new="", depth=18),
    Bug(name="scan leaves a row when stalled", tasks=SCANS, old=" & (~self.o.valid | self.o.ready)),", new="),"),
    Bug(name="drain asks for a row too many", tasks=("drain",), old="row + 1 == self.layer", new="row == self.layer"),
    Bug(name="drain takes another layer's bias", tasks=("drain",), old="stored + 1, self.layer.row_base", new="stored + 1, 0"),
    Bug(
        name="drain goes on behind a reset",
        tasks=("drain",),
        old="counting, (row, stored) = Signal(), (",
        new="counting, (row, stored) = Signal(reset_less=True), (",
    ),
    Bug(
        name="reader offers behind a reset",
        tasks=READERS,
        old="row_valid, entry_valid = Signal(), Signal(), Signal()",
        new="row_valid, entry_valid = Signal(), Signal(), Signal(reset_less=True)",
    ),
    Bug(name="rows in wrong words", tasks=MEMORIES[1:], old="word.eq(word + last)", new="word.eq(word + 1)"),
    Bug(name="results over the source", tasks=MEMORIES, old="written, ~self.layer.source", new="written, self.layer.source"),
    Bug(name="row of a later read", tasks=MEMORIES[1:], old="word_select(read_group", new="word_select(group"),
    Bug(name="writer skips the gap", tasks=("input writer",), old="Mux(last_group, 0, group + 1)", new="group + 1"),
    Bug(name="writer takes one row too many", tasks=("input writer",), old="left == 1", new="left == 0"),
    Bug(name="output prefers the last", tasks=("output reader",), old="value > largest", new="value >= largest", depth=24),
    Bug(name="output ends a row too late", tasks=("output reader",), old="left <= 1", new="left == 0"),
    Bug(name="sequencer admits an output too many", tasks=SEQUENCERS, old="outputs > p.columns", new="outputs > p.columns + 1", depth=24),
    Bug(name="sequencer admits a bias too many", tasks=SEQUENCERS, old="layer.row_base + rows >", new="rows >", depth=24),
    Bug(name="sequencer admits a pointer too many", tasks=SEQUENCERS[::2], old="columns + 1 >", new="columns >", depth=24),
    Bug(name="sequencer decides a cycle early", tasks=SEQUENCERS, old="flaw != ErrorCode.NONE", new="0", depth=24),
    Bug(
        name="sequencer has no timeout",
        tasks=SEQUENCERS,
        old="with m.If((self.timeout != 0) & (spent > self.timeout))",
        new="with m.If(0)",
        depth=0,
    ),
    Bug(
        name="sequencer loads without a timeout",
        tasks=SEQUENCERS[2:],
        old="with m.Elif((self.timeout != 0) & (spent > self.timeout))",
        new="with m.Elif(0)",
        depth=0,
    ),
    Bug(
        name="sequencer takes refused weights",
        tasks=SEQUENCERS[2:],
        old="self._fail(m, REFUSALS.get(error, ErrorCode.DECODER))",
        new="pass",
        depth=30,
    ),
    Bug(name="sequencer overlooks a missing end", tasks=SEQUENCERS, old="m.Elif(self.input.late)", new="m.Elif(0)", depth=24),
    Bug(
        name="sequencer starts before it settles",
        tasks=SEQUENCERS,
        old='with m.If(wait == 1):\n                m.next = "START"',
        new='m.next = "START"',
        depth=30,
    ),
    Bug(name="loader writes behind an error", tasks=("entry loader",), old="packer.load.valid & self.busy", new="packer.load.valid"),
    Bug(name="loader forgets the layer's place", tasks=("entry loader",), old="weight_base.eq(layer.weight_base)", new="weight_base.eq(0)"),
    Bug(name="decoder needs no last word", tasks=("huffman",), old=" | ~code.ended", new=""),
    Bug(name="decoder puts words too low", tasks=("huffman",), old="word >> level", new="word >> held"),
    Bug(name="decoder lets codes run past the end", tasks=("huffman",), old=" | (used > left)", new=""),
    Bug(name="decoder moves on when stalled", tasks=DECODERS, old="eq(~self.o.valid | self.o.ready)", new="eq(1)"),
)  # fmt: skip
