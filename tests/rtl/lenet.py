"""LeNet-300-100, pruned and quantised without retraining: real weights in seconds, not accuracy."""

from functools import cache

from qsim.compress.pipeline import compress
from qsim.compress.recipe import parse_recipe
from qsim.model.compressed import CompressedModel
from workloads.lenet_300_100 import WORKLOAD
from workloads.mnist import load_mnist
from workloads.weights import load_weights

PRUNE = """
[prune]
method = "iterative"
densities = [0.08, 0.09, 0.26]
rounds = 1
epochs = 0
"""
KMEANS = """
[quantise]
method = "kmeans"
entries = {}
start = "linear"
zero = {}
"""
QUANTISE = {
    "sparse": PRUNE + KMEANS.format(15, "false"),
    "codebook": KMEANS.format(16, "true"),
    "dense": '[quantise]\nmethod = "fixed"\n',
    "pvq": '[quantise]\nmethod = "pvq"\npulses = [0.15, 0.4, 2.0]\nepochs = 0\n',
}


@cache
def compressed(kind: str, *, by_column: bool = False) -> CompressedModel:
    """Return the network in the form of PEs of this kind; ``by_column``: as a loader in hardware reads it."""
    encode = "[encode]\nby_column = true\n" if by_column else ""
    recipe = parse_recipe(f'name = "no retraining"\n{QUANTISE[kind]}\n[finetune]\nepochs = 0\n{encode}')
    return compress(recipe, WORKLOAD, load_weights(WORKLOAD), load_mnist())
