# amaranth: UnusedElaboratable=no
"""Asks whether the accelerator behind a UART gives the reference's logits and the simulators' counters, and answers whatever it is sent."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from qsim.errors import MachineError
from rtl.emit import emit
from rtl.toolchain import build_model
from rtl.uart import UartAccelerator, crc8
from tests.rtl.networks import Network
from tests.rtl.uart_host import DIVISOR, check_byte

TOP = "qsim_uart"


@pytest.fixture(scope="module")
def model(given: Network, build_dir: Path) -> Path:
    p = given.parameters
    return build_model(emit(lambda: UartAccelerator(p, DIVISOR), TOP, build_dir, f"{p!r} {DIVISOR}"), TOP)


@pytest.mark.rtl
def test_uart(given: Network, model: Path, tmp_path: Path) -> None:
    given.run_bench(model, TOP, "tests.rtl.bench_uart", tmp_path)


def test_check_bytes_are_the_remainder() -> None:
    data = np.random.default_rng(3).bytes(100)
    check = 0
    for length, byte in enumerate(data, 1):
        check = crc8(check, byte)
        assert check == check_byte(data[:length])


def test_what_cannot_be_built_is_refused(given: Network) -> None:
    for divisor in (0, 3, 1 << 20):
        with pytest.raises(MachineError, match=r"divisor must be 4 to 1048575 clocks a bit"):
            UartAccelerator(given.parameters, divisor)
    with pytest.raises(MachineError, match=r"parameters.streamed must be false behind a UART, not True"):
        UartAccelerator(dataclasses.replace(given.parameters, streamed=True), 20)
    with pytest.raises(MachineError, match=r"parameters.row_width must be rows of less than 255 bytes, not 255"):
        UartAccelerator(dataclasses.replace(given.parameters, row_width=255, activation_bits=8), 20)
