"""What synthesis needs to know of an FPGA: how its tools are called, what its cells are, how much of each there is."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from qsim.errors import QsimError, nearest


class Resource(StrEnum):
    """What a design takes of an FPGA."""

    LUTS = "LUTs"
    FLIP_FLOPS = "flip-flops"
    DSPS = "DSPs"
    BLOCK_RAMS = "block RAMs"
    LARGE_RAMS = "single-port RAMs"
    PINS = "pins"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """An FPGA.

    ``synthesis``: the Yosys command; ``cells``: what one cell of the synthesised design takes (name of the cell or its beginning, as Yosys
    calls it); ``available``: how much the device has; ``placer``: the nextpnr command and its arguments, empty where there is none;
    ``placed``: what nextpnr's report calls a resource, where that is the exact figure; ``source``: of the figures.
    """

    name: str
    description: str
    synthesis: str
    cells: Mapping[str, Mapping[Resource, int]]
    available: Mapping[Resource, int]
    placer: tuple[str, ...] = ()
    placed: Mapping[str, Resource]
    source: str

    def used(self, counts: Mapping[str, int]) -> dict[Resource, int]:
        """Return what cells take, given how many there are of each."""
        found = dict.fromkeys(self.available, 0)
        for cell, count in counts.items():
            takes = next((takes for name, takes in self.cells.items() if cell.startswith(name)), {})
            for resource, units in takes.items():
                found[resource] += units * count
        return found

    def require_room(self, used: Mapping[Resource, int]) -> None:
        """Raise :class:`QsimError` naming every resource of which ``used`` takes more than there is."""
        short = [
            f"it takes {used[resource]:,} {resource} and there are {there:,}"
            for resource, there in self.available.items()
            if used.get(resource, 0) > there
        ]
        if short:
            raise QsimError(f"the machine does not fit {self.name} ({self.description}): {'; '.join(short)}")


def find_device(name: str, devices: Mapping[str, Device]) -> Device:
    """Return the device of this name; an unknown one is an error that names the nearest."""
    if name not in devices:
        raise QsimError(f"no such device {name!r}{nearest(name, devices)}; devices: {', '.join(devices)}")
    return devices[name]
