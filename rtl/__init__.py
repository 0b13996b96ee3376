"""The hardware: Amaranth components, their Verilog, and their verification under Verilator.

Reading order: ``shapes``, ``stream``, ``parameters``, ``nonzero``, ``pe``, ``drain``, ``array``, then ``emit`` and ``verify``.
Importing this package does no work and needs no optional dependency.
"""
