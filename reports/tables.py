"""The tables of the page: machines, layers, compression, accesses, prices."""

from collections.abc import Sequence

from qsim.actions import Access
from reports.published import CompressionRow, PublishedCompression
from reports.table import MISSING, Column, Field, Group, Table, counted, decimal, scaled
from reports.theme import machine_token
from reports.views import Machine, layer_views

PRICE_DECIMALS = 3


def machine_table(machines: Sequence[Machine]) -> Table:
    """Return one row a machine: what it stores, how well it answers, what it costs, what it saves."""
    base = machines[0]
    byte_unit, sizes = scaled([m.run.file_bytes for m in machines], "B")
    joule_unit, joules = scaled([m.joules for m in machines], "J")
    second_unit, seconds = scaled([m.run.seconds for m in machines], "s")
    rows = tuple(
        (
            Field(text=machine.label, colour=machine_token(machine.number)),
            sizes[place],
            _times(machine.run.ratio),
            decimal(machine.run.quality.test_error if machine.run.quality else None, 2),
            joules[place],
            _times(base.joules / machine.joules) if machine.joules else Field(text=MISSING),
            seconds[place],
            _times(base.run.seconds / machine.run.seconds) if machine.run.seconds else Field(text=MISSING),
            counted(machine.run.cycles),
        )
        for place, machine in enumerate(machines)
    )
    return Table(
        key="machines",
        caption=f"Every machine against {base.label}, per inference",
        columns=(
            Column(head="Machine", numeric=False),
            Column(head="File", unit=byte_unit),
            Column(head="Smaller than float32", unit="×"),
            Column(head="Test error", unit="%"),
            Column(head="Energy", unit=joule_unit),
            Column(head="Less energy", unit="×"),
            Column(head="Time", unit=second_unit),
            Column(head="Faster", unit="×"),
            Column(head="Time", unit="cycles"),
        ),
        groups=(Group(rows=rows),),
    )


def _times(value: float) -> Field:
    return decimal(value, 1)


def layer_table(machines: Sequence[Machine]) -> Table:
    """Return one row a layer, grouped by machine."""
    layers = {machine.label: layer_views(machine.run) for machine in machines}
    everything = [layer for views in layers.values() for layer in views]
    second_unit, seconds = scaled([layer.seconds for layer in everything], "s")
    joule_unit, joules = scaled([layer.joules for layer in everything], "J")
    byte_unit, moved = scaled([layer.dram_bytes for layer in everything], "B")
    operand_unit, operands = scaled([layer.operand_bytes for layer in everything], "B")
    has_operands = any(layer.operand_bytes for layer in everything)
    place = 0
    groups = []
    for machine in machines:
        peak = machine.run.peak.get("macs_per_cycle")
        rows = []
        for layer in layers[machine.label]:
            busy = 100 * layer.macs / (layer.cycles * peak) if peak and layer.cycles else None
            rows.append(
                (
                    Field(text=layer.name),
                    counted(layer.cycles),
                    seconds[place],
                    joules[place],
                    counted(layer.macs),
                    decimal(100 * layer.macs / layer.dense_macs if layer.dense_macs else None, 1),
                    decimal(busy, 1),
                    moved[place],
                    *((operands[place] if layer.operand_bytes else Field(text=MISSING),) if has_operands else ()),
                )
            )
            place += 1
        groups.append(Group(head=machine.label, colour=machine_token(machine.number), rows=tuple(rows)))
    return Table(
        key="layers",
        caption="Every layer on every machine, mean over the inputs; energy without leakage",
        columns=(
            Column(head="Layer", numeric=False),
            Column(head="Cycles"),
            Column(head="Time", unit=second_unit),
            Column(head="Energy", unit=joule_unit),
            Column(head="MACs issued"),
            Column(head="of dense", unit="%"),
            Column(head="of peak rate", unit="%"),
            Column(head="DRAM traffic", unit=byte_unit),
            *((Column(head="Written at run time", unit=operand_unit),) if has_operands else ()),
        ),
        groups=tuple(groups),
    )


_COMPRESSION = (
    ("kept_percent", "Weights kept", "%", 0),
    ("weight_bits_pq", "Bits a weight, P+Q", "bit", 1),
    ("weight_bits_pqh", "P+Q+H", "bit", 1),
    ("index_bits_pq", "Bits an index, P+Q", "bit", 1),
    ("index_bits_pqh", "P+Q+H", "bit", 1),
    ("rate_pq_percent", "Rate, P+Q", "%", 2),
    ("rate_pqh_percent", "P+Q+H", "%", 2),
)


def compression_table(rows: Sequence[CompressionRow], published: PublishedCompression | None, name: str = "") -> Table:
    """Return our compression by layer, that of the file ``name``, beside the published one, layer by layer in order."""
    theirs = list(published.rows) if published else []
    groups = []
    for place, row in enumerate(rows):
        pair = [_compression_fields("ours", row)]
        head = row.layer
        if len(theirs) == len(rows):
            pair.append(_compression_fields("published", theirs[place]))
            if theirs[place].layer != row.layer:
                head = f"{row.layer} ({theirs[place].layer} in the paper)"
        groups.append(Group(head=head, rows=tuple(pair)))
    return Table(
        key="compression",
        caption=(
            f"{f'Ours is {name}. ' if name else ''}Compression by layer: P pruning, Q weight sharing, H Huffman coding; "
            "rates are percent of the float32 size"
        ),
        columns=(
            Column(head="", numeric=False),
            Column(head="Weights"),
            *(Column(head=head, unit=unit) for _, head, unit, _ in _COMPRESSION),
        ),
        groups=tuple(groups),
    )


def _compression_fields(whose: str, row: CompressionRow) -> tuple[Field, ...]:
    values = (decimal(getattr(row, name), decimals) for name, _, _, decimals in _COMPRESSION)
    return (Field(text=whose), counted(row.weights), *values)


def access_table(machines: Sequence[Machine]) -> Table:
    """Return every kind of access, how often it happened and what it cost, summed over layers, grouped by machine."""
    groups = []
    totals = [_access_totals(machine) for machine in machines]
    unit, joules = scaled([pj / 1e12 for rows in totals for _, pj in rows.values()], "J")
    place = 0
    for machine, rows in zip(machines, totals, strict=True):
        prices = {price.access: price.pj for price in machine.run.energy.prices}
        fields = []
        for access, (count, _) in rows.items():
            size = f"{access.capacity_bytes / 1024:g}" if access.capacity_bytes else MISSING
            fields.append(
                (
                    Field(text=access.unit),
                    Field(text=access.action.replace("_", " ")),
                    counted(access.width_bits),
                    Field(text=size),
                    counted(count),
                    decimal(prices.get(access), PRICE_DECIMALS),
                    joules[place],
                )
            )
            place += 1
        groups.append(Group(head=machine.label, colour=machine_token(machine.number), rows=tuple(fields)))
    return Table(
        key="accesses",
        caption="Every kind of access of one inference, mean over the inputs",
        columns=(
            Column(head="Unit", numeric=False),
            Column(head="Action", numeric=False),
            Column(head="Width", unit="bit"),
            Column(head="Memory", unit="KiB"),
            Column(head="Count"),
            Column(head="Price", unit="pJ"),
            Column(head="Energy", unit=unit),
        ),
        groups=tuple(groups),
    )


def _access_totals(machine: Machine) -> dict[Access, tuple[float, float]]:
    totals: dict[Access, tuple[float, float]] = {}
    for entry in machine.run.energy.entries:
        count, pj = totals.get(entry.access, (0.0, 0.0))
        totals[entry.access] = (count + entry.count, pj + entry.pj)
    return totals


def price_table(machines: Sequence[Machine]) -> Table:
    """Return the prices that were used, with their sources, grouped by technology."""
    by_technology: dict[str, dict[tuple[str, int, int], tuple[float, str]]] = {}
    for machine in machines:
        prices = by_technology.setdefault(machine.run.energy.technology, {})
        for price in machine.run.energy.prices:
            prices[price.access.action, price.access.width_bits, price.access.capacity_bytes] = (price.pj, price.source)
    groups = tuple(
        Group(
            head=technology,
            rows=tuple(
                (
                    Field(text=action.replace("_", " ")),
                    counted(width),
                    Field(text=f"{capacity / 1024:g}" if capacity else MISSING),
                    decimal(pj, PRICE_DECIMALS),
                    Field(text=source),
                )
                for (action, width, capacity), (pj, source) in sorted(prices.items())
            ),
        )
        for technology, prices in by_technology.items()
    )
    return Table(
        key="prices",
        caption="Prices of all actions that were counted, and where each was read",
        columns=(
            Column(head="Action", numeric=False),
            Column(head="Width", unit="bit"),
            Column(head="Memory", unit="KiB"),
            Column(head="Price", unit="pJ"),
            Column(head="Source", numeric=False),
        ),
        groups=groups,
    )
