"""Speed, measured: `make bench` runs every table here, prints it and writes one JSON file.

Each module has `run() -> list[dict]`, a row a figure: name, value, unit, target and what it was measured on. Ratios are
taken within one run.
"""
