"""Code that runs inside the simulator: numpy and cocotb only."""
