"""What one PE holds and when it takes, issues and leaves each item, by plain loops."""

import numpy as np


def columns_of(weights: np.ndarray, table: np.ndarray, index_bits: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Return pointers and entries (code, gap) of local ``weights`` [rows, cols]; slot 0 of ``table`` is the fillers' zero."""
    longest = (1 << index_bits) - 1
    pointers, entries = [0], []
    for column in weights.T:
        run = 0
        for value in column:
            if value == 0:
                run += 1
                continue
            while run > longest:
                entries.append((0, longest))
                run -= longest + 1
            entries.append((1 + int(np.flatnonzero(table[1:] == value)[0]), run))
            run = 0
        pointers.append(len(entries))
    return pointers, entries


def pe_cycles(offered: list[int], service: list[int]) -> tuple[list[int], list[int], list[int]]:
    """Return the cycles of pop, issue and leave of items that are ``offered`` at the earliest when the one before has been taken."""
    pop, issue, leave = [], [], []
    for n, cycles in enumerate(service):
        pop.append(max(offered[n], issue[n - 1] if n else 0))
        issue.append(max(pop[n] + 1, leave[n - 1] if n else 0))
        leave.append(issue[n] + cycles)
    return pop, issue, leave
