"""The machines that come with qsim.

The six comparable machines have 64 PEs at 800 MHz in 45 nm, a queue of 8, scan rows of 4 and the same activation memory, as the published
EIE has (Han et al., ISCA 2016), and one boundary: the network's input comes from the DRAM channel and its output goes there. They
differ in

- the PE: dense, codebook, sparse, pyramid vector, with its widths of codes and gaps (4 and 4 bits, 8 and 8 for pyramid vectors);
- the scan: only the sparse and the pyramid-vector machines skip activations of zero;
- where the weights live: with ``dram`` in the name they stream over the same channel through two tiles on chip in 1 KB a PE, with ``sram``
  all of them are in 128 KB a PE. The first is the design that EIE was built to replace, and a large weight memory would make its every
  access dearer without holding the weights;
- the decoder, which only ``sparse-huffman-dram`` has.

``dense-16b-sram`` is the control: beside ``dense-16b-dram`` it shows what the placement of the weights does, beside ``sparse-sram`` what
compression and skipped zeros do.

The DRAM is a 32-bit LPDDR3-1600 channel (JESD209-3, 4 Gb die): its clock is 800 MHz, so that its cycles are the array's cycles.

- burst: 8 transfers of 4 bytes = 32 bytes in 4 clocks (6.4 GB/s at the pins);
- latency: read latency 12 + tDQSCK 4 clocks = 16;
- row: 1024 columns of 4 bytes = 4096 bytes in each of 8 banks; a miss costs tRP 18 ns + tRCD 18 ns = 36 ns, 29 clocks;
- refresh: every tREFI 3.9 us = 3120 clocks the channel is closed for tRFCab 130 ns = 104 clocks.

The ``-rtl`` machines are sized for the RTL: each holds all layers of LeNet-300-100, the sparse ones in FPGA block RAM.
"""

from dataclasses import replace

from qsim.arch.architecture import ActivationSram, Architecture, Array, Decoder, Dram, PEKind, Scan, Sram

KIB = 1024

LPDDR3_1600_AT_800_MHZ = Dram(
    burst_bytes=32,
    burst_cycles=4,
    latency=16,
    row_bytes=4096,
    row_miss_cycles=29,
    banks=8,
    refresh_interval=3120,
    refresh_cycles=104,
    tile_bytes=4 * KIB,
)

ACTIVATIONS_ONLY = replace(LPDDR3_1600_AT_800_MHZ, holds_weights=False)

# Not in the table: the published boundary is the array's own, so that neither input nor output costs anything.
EIE = Architecture(
    name="eie",
    description="64 sparse PEs, all weights on chip: the published EIE",
    clock_hz=800e6,
    node_nm=45,
    # 64 accumulators a PE: EIE's destination register file has 64 entries.
    array=Array(kind=PEKind.SPARSE, pes=64, code_bits=4, index_bits=4, local_rows=64),
    scan=Scan(row_width=4),
    weights=Sram(bytes=128 * KIB, width_bits=64),
    pointers=Sram(bytes=32 * KIB, width_bits=16),
    activations=ActivationSram(bytes=2 * KIB),
    source="Han et al., EIE, ISCA 2016, arXiv:1602.01528, sections IV and VI",
)


def _variant(base: Architecture, name: str, description: str, source: str, **changes: object) -> Architecture:
    """Return ``base`` under another name with fields changed; ``__`` in a keyword stands for the dot of a path."""
    machine = base.replace("name", name).replace("description", description).replace("source", source)
    for path, value in changes.items():
        machine = machine.replace(path.replace("__", "."), value)
    return machine


_DERIVED = "derived from EIE (Han et al., ISCA 2016, arXiv:1602.01528); DRAM: JESD209-3 (LPDDR3-1600 x32)"

SPARSE_SRAM = _variant(
    EIE,
    "sparse-sram",
    "64 sparse PEs, all weights on chip: the published EIE, its input and output in DRAM",
    _DERIVED,
    dram=ACTIVATIONS_ONLY,
)
# One symbol a cycle is what the decoder in RTL does (rtl.huffman). LeNet-300-100 by the recipe eie then takes 53,578 cycles, mean of test
# images 0 to 3; with 4, 16 and 32 symbols a cycle it would take 14,818, 5,342 and 4,722.
HUFFMAN_DECODER = Decoder(symbols_per_cycle=1)
SPARSE_HUFFMAN_DRAM = _variant(
    EIE,
    "sparse-huffman-dram",
    "64 sparse PEs, Huffman-coded weights streamed from DRAM through a decoder",
    _DERIVED,
    weights__bytes=1 * KIB,
    dram=LPDDR3_1600_AT_800_MHZ,
    decoder=HUFFMAN_DECODER,
)
CODEBOOK_DRAM = _variant(
    EIE,
    "codebook-dram",
    "64 codebook PEs, 4-bit indices of every weight streamed from DRAM, no skipping of zeros",
    _DERIVED,
    array__kind="codebook",
    weights__bytes=1 * KIB,
    scan__skip_zeros=False,
    dram=LPDDR3_1600_AT_800_MHZ,
)
DENSE_DRAM = _variant(
    CODEBOOK_DRAM,
    "dense-16b-dram",
    "64 dense PEs, 16-bit weights streamed from DRAM, no skipping of zeros",
    _DERIVED,
    array__kind="dense",
)
DENSE_SRAM = _variant(
    DENSE_DRAM,
    "dense-16b-sram",
    "64 dense PEs, 16-bit weights all on chip, no skipping of zeros",
    _DERIVED,
    weights__bytes=EIE.weights.bytes,
    dram=ACTIVATIONS_ONLY,
)
# Pulses have long tails: 8 bits hold those of every row that one scale serves well; 8 bits of gap fill the entry up to a power of two.
PVQ_SRAM = _variant(
    SPARSE_SRAM,
    "pvq-sram",
    "64 pyramid-vector PEs without multipliers, all pulses on chip",
    f"{_DERIVED}; the PE after Liguori, arXiv:1704.02681",
    array__kind="pvq",
    array__code_bits=8,
    array__index_bits=8,
)
# For whole networks: 128 KB of weights a PE hold a layer, or a run of its output channels, while all its pixels go by.
SPARSE_LAYER_DRAM = _variant(
    SPARSE_SRAM, "sparse-layer-dram", "64 sparse PEs, weights from DRAM layer by layer", _DERIVED, dram=LPDDR3_1600_AT_800_MHZ
)
DENSE_LAYER_DRAM = _variant(
    DENSE_SRAM, "dense-16b-layer-dram", "64 dense PEs, 16-bit weights from DRAM layer by layer", _DERIVED, dram=LPDDR3_1600_AT_800_MHZ
)
CODEBOOK_LAYER_DRAM = _variant(
    DENSE_LAYER_DRAM, "codebook-layer-dram", "64 codebook PEs, 4-bit indices from DRAM layer by layer", _DERIVED, array__kind="codebook"
)
PVQ_LAYER_DRAM = _variant(
    PVQ_SRAM, "pvq-layer-dram", "64 pyramid-vector PEs, pulses from DRAM layer by layer", PVQ_SRAM.source, dram=LPDDR3_1600_AT_800_MHZ
)
SPARSE_RTL_1 = _variant(
    EIE,
    "sparse-rtl-1",
    "one sparse PE, sized for a small FPGA",
    "sized for LeNet-300-100; 80 MHz and 40 nm: a Lattice ECP5",
    clock_hz=80e6,
    node_nm=40,
    array__pes=1,
    array__local_rows=512,
    weights__bytes=64 * KIB,
    pointers__bytes=4 * KIB,
    activations__bytes=4 * KIB,
)


def _rtl(pes: int) -> Architecture:
    return _variant(
        SPARSE_RTL_1,
        f"sparse-rtl-{pes}",
        f"{pes} sparse PEs, sized for an FPGA",
        SPARSE_RTL_1.source,
        array__pes=pes,
        array__local_rows=512 // pes,
        weights__bytes=64 * KIB // pes,
        activations__bytes=4 * KIB // pes,
    )


_SIZED = "derived from sparse-rtl; sized for all of LeNet-300-100 on chip"


def _sparse_6b_rtl(pes: int) -> Architecture:
    """Entries of a 6-bit code and a 6-bit gap, the widths that Deep Compression gives the largest layer; 8 in a row of 96 bits."""
    return _variant(
        _rtl(pes),
        f"sparse-6b-rtl-{pes}",
        f"{pes} sparse PEs for codebooks of 64 weights",
        _SIZED,
        array__code_bits=6,
        array__index_bits=6,
        weights__width_bits=96,
        # The fullest of 8 PEs has 3,117 entries of 12 bits, 4.6 KiB of 8.
        weights__bytes=64 * KIB // pes,
    )


def _sparse_image_rtl(pes: int) -> Architecture:
    """Memories for images: the input of LeNet-5's first convolution takes 784 rows of 4 activations, 6.1 KiB, its output 22.5 KiB."""
    return _variant(
        _sparse_6b_rtl(pes),
        f"sparse-image-rtl-{pes}",
        f"{pes} sparse PEs for codebooks of 64 weights, with memories for the convolutions of LeNet-5",
        "derived from sparse-6b-rtl; sized for any one layer of LeNet-5",
        activations__bytes=32 * KIB // pes,
    )


def _dense_rtl(pes: int) -> Architecture:
    return _variant(
        _rtl(pes),
        f"dense-rtl-{pes}",
        f"{pes} dense PEs, all 16-bit weights on chip, no skipping of zeros",
        _SIZED,
        array__kind="dense",
        # The fullest of 4 PEs has 75 * 784 + 25 * 300 + 3 * 100 = 66,600 weights, 130.1 KiB of 136; the fullest of 8 has
        # 38 * 784 + 13 * 300 + 2 * 100 = 33,892 weights, 66.2 KiB of 68.
        weights__bytes=544 * KIB // pes,
        scan__skip_zeros=False,
    )


def _codebook_rtl(pes: int) -> Architecture:
    return _variant(
        _dense_rtl(pes),
        f"codebook-rtl-{pes}",
        f"{pes} codebook PEs, a 4-bit index of every weight on chip, no skipping of zeros",
        _SIZED,
        array__kind="codebook",
        # As many places as the dense PEs have: 34 KiB in each of 4, 17 KiB in each of 8.
        weights__bytes=136 * KIB // pes,
    )


def _pvq_rtl(pes: int) -> Architecture:
    """Entries as in pvq-sram: 8-bit pulses, 8 bits of gap."""
    return _variant(
        _rtl(pes),
        f"pvq-rtl-{pes}",
        f"{pes} pyramid-vector PEs without multipliers, all pulses on chip",
        _SIZED,
        array__kind="pvq",
        array__code_bits=8,
        array__index_bits=8,
        # With 0.15, 0.4 and 2 pulses a weight the fullest of 4 PEs has 11,993 entries of 2 bytes, 23.4 KiB of 32, and the fullest of 8
        # has 6,150, 12.0 KiB of 16.
        weights__bytes=128 * KIB // pes,
    )


SPARSE_RTL_16 = _variant(
    _rtl(16),
    "sparse-rtl-16",
    "16 sparse PEs, sized for an FPGA",
    "sized for LeNet-300-100; 95 MHz and 40 nm: a Lattice ECP5",
    clock_hz=95e6,
    # Registers in front of the queues: an item need not cross the chip within a cycle.
    array__queue__forward_latency=2,
    array__queue__return_latency=2,
)
SPARSE_UP5K = _variant(
    _rtl(2),
    "sparse-up5k",
    "2 sparse PEs, sized for the single-port RAMs of an iCE40 UltraPlus 5K",
    "sized for LeNet-300-100; 36 MHz and 40 nm: a Lattice iCE40UP5K",
    clock_hz=36e6,
    # There are no RAMs in LUTs: short queues and narrow rows save flip-flops.
    array__queue__depth=4,
    scan__row_width=2,
    # A single-port RAM has 16 bits a word: two entries.
    weights__width_bits=16,
    pointers__bytes=2 * KIB,
    activations__bytes=2 * KIB,
)


MACHINES: dict[str, Architecture] = {
    machine.name: machine
    for machine in (
        DENSE_DRAM,
        DENSE_SRAM,
        CODEBOOK_DRAM,
        SPARSE_HUFFMAN_DRAM,
        SPARSE_SRAM,
        PVQ_SRAM,
        DENSE_LAYER_DRAM,
        CODEBOOK_LAYER_DRAM,
        SPARSE_LAYER_DRAM,
        PVQ_LAYER_DRAM,
        SPARSE_RTL_1,
        _rtl(2),
        _rtl(4),
        _rtl(8),
        SPARSE_RTL_16,
        _sparse_6b_rtl(8),
        _sparse_image_rtl(8),
        *(of_kind(pes) for pes in (4, 8) for of_kind in (_dense_rtl, _codebook_rtl, _pvq_rtl)),
        SPARSE_UP5K,
    )
}
