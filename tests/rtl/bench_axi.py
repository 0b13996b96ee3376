"""Asks whether the accelerator behind AXI does what it must, in every pattern of idle cycles and back-pressure."""

from tests.rtl.axi_host import AxiHost
from tests.rtl.hosts import SCENARIOS, bench

for _scenario in SCENARIOS:
    globals()[_scenario.__name__] = bench(AxiHost.of, _scenario)
