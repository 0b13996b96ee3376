"""Sample results for the tests of reports: made up by formula, with the shape and the magnitudes of a real run, and named as samples."""

from qsim.actions import Access, Action
from qsim.energy.account import MemoryInstance, account
from qsim.energy.loader import load_technology
from qsim.results import ActionCount, LayerResult, Quality, RunResult, Source, Span, Stall, Trace, UnitTime
from reports.published import CompressionRow

SHAPES = (("fc1", 784, 300), ("fc2", 300, 100), ("fc3", 100, 10))
ACTIVE = (0.19, 0.45, 0.62)
KEPT = (0.08, 0.09, 0.26)
PES = 64
CLOCK_HZ = 800e6


def layer(name: str, inputs: int, outputs: int, kind: str, active: float, kept: float, image: int) -> LayerResult:
    """Return a layer of a made-up machine: ``dense`` and ``codebook`` issue every weight, ``sparse`` ones a few."""
    dense_macs = inputs * outputs
    sparse = "sparse" in kind
    macs = round(dense_macs * active * kept * (1 + 0.02 * image)) if sparse else dense_macs
    bits = {
        "sample-dense-dram": 16 * dense_macs,
        "sample-codebook-dram": 4 * dense_macs,
        "sample-huffman-dram-sparse": round(dense_macs * kept * 8.1),
    }
    dram_bursts = -(-bits.get(kind, 0) // 256)
    compute = round(1.15 * macs / PES) + 24 if sparse else -(-outputs // PES) * inputs + 12
    fetch = 4 * dram_bursts + 16 if dram_bursts else 0
    cycles = max(compute, fetch) + 9
    starved = cycles - compute
    units = [
        UnitTime(
            unit="scan",
            busy=compute // 2,
            stalled={Stall.QUEUE_FULL: compute // 4, Stall.WEIGHTS_PENDING: starved},
            idle=cycles - compute // 2 - compute // 4 - starved,
        ),
        *(
            UnitTime(
                unit=f"pe{p}",
                busy=compute - p % 5 * (compute // 30),
                stalled={Stall.STARVED: starved + p % 5 * (compute // 30) - 5},
                idle=5,
            )
            for p in range(PES)
        ),
        UnitTime(unit="drain", busy=-(-outputs // PES), stalled={}, idle=cycles - -(-outputs // PES)),
    ]
    if dram_bursts:
        units.append(
            UnitTime(
                unit="dram", busy=fetch, stalled={Stall.BUFFER_FULL: (cycles - fetch) // 2}, idle=cycles - fetch - (cycles - fetch) // 2
            )
        )
    counts = _counts(macs, inputs, outputs, round(inputs * active), dram_bursts, sparse)
    return LayerResult(
        name=name,
        cycles=cycles,
        macs=macs,
        dense_macs=dense_macs,
        units=tuple(units),
        counts=tuple(ActionCount(access=access, count=count) for access, count in counts.items()),
        events={"filler_entries": macs // 50 if sparse else 0, "dram_bytes": 32 * dram_bursts},
    )


def _counts(macs: int, inputs: int, outputs: int, columns: int, dram_bursts: int, sparse: bool) -> dict[Access, int]:
    memory = 1024 if dram_bursts else 131072
    counts = {
        Access(unit="weights", action=Action.SRAM_READ, width_bits=64, capacity_bytes=memory): -(-macs * (8 if sparse else 16) // 64),
        Access(unit="activations", action=Action.SRAM_READ, width_bits=64, capacity_bytes=2048): inputs // 4,
        Access(unit="activations", action=Action.SRAM_WRITE, width_bits=64, capacity_bytes=2048): -(-outputs // 4),
        Access(unit="queue", action=Action.REGISTER_WRITE, width_bits=32): columns * PES,
        Access(unit="accumulators", action=Action.REGISTER_READ, width_bits=32): macs,
        Access(unit="accumulators", action=Action.REGISTER_WRITE, width_bits=32): macs,
        Access(unit="mac", action=Action.INT_MULTIPLY, width_bits=16): macs,
        Access(unit="mac", action=Action.INT_ADD, width_bits=32): macs,
    }
    if sparse:
        counts[Access(unit="pointers", action=Action.SRAM_READ, width_bits=16, capacity_bytes=32768)] = 2 * columns * PES
    if dram_bursts:
        counts[Access(unit="weights", action=Action.SRAM_WRITE, width_bits=64, capacity_bytes=memory)] = 4 * dram_bursts
        counts[Access(unit="dram", action=Action.DRAM_READ, width_bits=256)] = dram_bursts
    return counts


def trace(result: LayerResult) -> Trace:
    """Return a made-up trace of a layer: fetches ahead, PEs working in stretches."""
    spans = []
    step = max(8, result.cycles // 40)
    fetched = any(count.access.unit == "dram" for count in result.counts)
    for number, start in enumerate(range(0, result.cycles - step, step)):
        if fetched:
            spans.append(Span(unit="dram", start=start, end=start + step * 9 // 10, state="busy", label=f"tile {number}"))
        spans.append(Span(unit="scan", start=start, end=start + step // 2, state="busy"))
        spans.append(Span(unit="scan", start=start + step // 2, end=start + step, state=str(Stall.QUEUE_FULL)))
        for p in range(PES):
            work = 2 + (p * 7 + number * 3) % (step - 2)
            spans.append(Span(unit=f"pe{p}", start=start, end=start + work, state="busy"))
            spans.append(Span(unit=f"pe{p}", start=start + work, end=start + step, state=str(Stall.STARVED)))
    spans.append(Span(unit="drain", start=result.cycles - 6, end=result.cycles - 1, state="busy"))
    return Trace(layer=result.name, cycles=result.cycles, spans=tuple(spans))


def run(kind: str, *, file_bytes: int, error: float | None, technology: str = "cacti-45nm", images: int = 3) -> RunResult:
    """Return one sample run."""
    layers = tuple(
        tuple(layer(name, inputs, outputs, kind, active, kept, image) for image in range(images))
        for (name, inputs, outputs), active, kept in zip(SHAPES, ACTIVE, KEPT, strict=True)
    )
    on_chip = kind == "sample-sparse-sram"
    memory = MemoryInstance(name="weights", capacity_bytes=131072 if on_chip else 1024, width_bits=64, instances=PES)
    prices = load_technology(technology)
    peak = {"macs_per_cycle": float(PES), "sram_bits_per_cycle": 64.0 * PES}
    if not on_chip:
        peak["dram_bits_per_cycle"] = 64.0
    recipe = "sample-deep-compression" if "sparse" in kind else f"sample-{kind.split('-')[1]}"
    return RunResult(
        workload=Source(name="lenet-300-100", hash="5a" * 32),
        model=Source(name=f"{recipe}.qsz", hash="c0" * 32),
        recipe=Source(name=recipe, hash="1d" * 32),
        architecture=Source(name=kind, hash="ab" * 32),
        technology=Source(name=technology, hash=prices.hash),
        engine="fast",
        version="0.0.0",
        seed=7,
        clock_hz=CLOCK_HZ,
        inputs=tuple(range(images)),
        file_bytes=file_bytes,
        float_bytes=1_066_440,
        layers=layers,
        energy=account(layers, prices, clock_hz=CLOCK_HZ, memories=(memory,)),
        quality=Quality(test_error=error, float_test_error=1.62, test_images=10_000),
        peak=peak,
        weight_source="sample: trained from seed 7",
        trace=trace(layers[0][0]),
    )


def sample_runs(technology: str = "cacti-45nm") -> list[RunResult]:
    """Return four machines, three layers, three inputs each."""
    return [
        run("sample-dense-dram", file_bytes=533_912, error=1.62, technology=technology),
        run("sample-codebook-dram", file_bytes=134_201, error=1.66, technology=technology),
        run("sample-huffman-dram-sparse", file_bytes=26_512, error=1.71, technology=technology),
        run("sample-sparse-sram", file_bytes=26_512, error=1.71, technology=technology),
    ]


def sample_compression() -> list[CompressionRow]:
    """Return a compression table with the numbers of nobody."""
    rows = []
    for name, weights, kept in (("fc1", 235_200, 8.0), ("fc2", 30_000, 9.0), ("fc3", 1_000, 26.0), ("Total", 266_200, 8.2)):
        rows.append(
            CompressionRow(
                layer=name,
                weights=weights,
                kept_percent=kept,
                weight_bits_pq=6.0,
                weight_bits_pqh=5.1,
                index_bits_pq=5.0,
                index_bits_pqh=3.6,
                rate_pq_percent=kept * 11 / 32,
                rate_pqh_percent=kept * 8.7 / 32,
            )
        )
    return rows
