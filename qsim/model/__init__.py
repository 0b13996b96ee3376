"""The network as data: its graph, its compressed weights and their file. No learning framework is needed here."""
