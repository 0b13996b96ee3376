"""Simulation: lowering a model to a program, and two engines that run it to the same cycle."""
