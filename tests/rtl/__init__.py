"""The RTL against the definitions: bits and cycles, under Verilator."""
