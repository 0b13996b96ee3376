"""A bench that fails, for the test of how failures are reported."""

import cocotb
from cocotb.handle import HierarchyObject


@cocotb.test()
async def fails(dut: HierarchyObject) -> None:
    assert dut.level.value == 9, "one is not two"
