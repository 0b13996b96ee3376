"""Tests of the workloads and their data."""
