"""Xilinx 7 series: counts only, there is no free place and route to install from a package index."""

from rtl.boards.device import Device, Resource

XC7 = Device(
    name="xc7",
    description="AMD Xilinx Artix-7 XC7A35T, counts only",
    synthesis="synth_xilinx -family xc7 -flatten",
    cells={
        "LUT": {Resource.LUTS: 1},  # LUT1 to LUT6
        "RAM32M": {Resource.LUTS: 4},
        "RAM64M": {Resource.LUTS: 4},
        "RAM32X1D": {Resource.LUTS: 2},
        "RAM64X1D": {Resource.LUTS: 2},
        "SRL": {Resource.LUTS: 1},  # a shift register in a LUT
        "FD": {Resource.FLIP_FLOPS: 1},  # FDRE, FDSE, ...
        "DSP48E1": {Resource.DSPS: 1},
        "RAMB18E1": {Resource.BLOCK_RAMS: 1},
        "RAMB36E1": {Resource.BLOCK_RAMS: 2},
    },
    available={Resource.LUTS: 20800, Resource.FLIP_FLOPS: 41600, Resource.DSPS: 90, Resource.BLOCK_RAMS: 100},
    placed={},
    source="AMD DS180 (7 series overview); block RAMs of 18 Kbit",
)
