"""The fidelity of a network with trained weights, for ``qsim estimate``."""

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qsim.fidelity import Fidelity, compare_outputs, outputs_of
from qsim.model.network import Array, Network
from qsim.progress import Progress

if TYPE_CHECKING:
    from workloads.packaged import Samples, TrainedNetwork


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Samples and what the float network gives for them; ``rows`` collects every comparison for JSON."""

    workload: "TrainedNetwork"
    samples: "Samples"
    before: list[Array]
    progress: Progress
    rows: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, name: str, network: Network, seed: int, progress: Progress) -> "Measurement | None":
        """Return the measurement of a network by name, None for one whose weights are not trained ones."""
        from workloads import TRAINED

        if name not in TRAINED:
            return None
        samples = TRAINED[name].samples(seed)
        return cls(workload=TRAINED[name], samples=samples, before=outputs_of(network, samples.inputs, progress), progress=progress)

    def compare(self, network: Network) -> Fidelity:
        """Run the compressed network on the samples."""
        score = self.samples.score
        found = compare_outputs(
            self.before,
            outputs_of(network, self.samples.inputs, self.progress),
            words=self.samples.words,
            classes=self.workload.classes,
            score=None if score is None else (score.name, score.of),
        )
        self.rows.append(dataclasses.asdict(found) | {"text": found.text})
        return found
