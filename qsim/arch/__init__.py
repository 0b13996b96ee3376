"""The machine as data: its description, its fixed latencies, and named presets."""
