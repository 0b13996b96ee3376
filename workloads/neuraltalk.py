"""The three layers of NeuralTalk that EIE runs: word embedding, LSTM gates with the bias as an input, word decoding."""

from qsim.model.network import Network
from workloads.builder import Builder, NetworkWorkload

# EIE, Table III: inputs, outputs and per cent of weights kept.
LAYERS = {"NT-We": (4096, 600, 10), "NT-Wd": (600, 8791, 11), "NT-LSTM": (1201, 2400, 10)}


def build(seed: int = 0) -> Network:
    """Return the three matrices with synthetic weights, each with an input of its own, as EIE times them."""
    b = Builder("neuraltalk", seed)
    made = [b.fc(name, b.input(f"{name}.input", 1, inputs), outputs, bias=False) for name, (inputs, outputs, _) in LAYERS.items()]
    return b.network(*made)


WORKLOAD = NetworkWorkload(
    name="neuraltalk",
    citation="A. Karpathy, L. Fei-Fei, CVPR 2015; its layers as in S. Han et al., EIE, ISCA 2016, Table III",
    build=build,
    parameters=4096 * 600 + 600 * 8791 + 1201 * 2400,
    parameters_source="EIE, ISCA 2016, Table III: 4096 x 600, 600 x 8791, 1201 x 2400",
    densities={name: kept / 100 for name, (_, _, kept) in LAYERS.items()},
    density_source="EIE, ISCA 2016, Table III",
)
