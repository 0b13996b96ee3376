"""Compressed layers as bits: streams and back with exact sizes, and the memory image of every processing element."""
