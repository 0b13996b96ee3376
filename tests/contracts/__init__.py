"""Contract tests over the visible tables."""
