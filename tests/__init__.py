"""The tests mirror the source; tests/contracts run over every visible table and tests/rtl hold the cocotb benches."""
