"""The compressed files that benchmarks run on: built once into the demo's cache."""

from functools import cache
from pathlib import Path

from qsim.build import build
from qsim.progress import silent

CACHE = Path("out/demo/cache")


@cache
def compressed(recipe: str) -> Path:
    """Return the path of LeNet-300-100 compressed by ``recipe``, building it if the demo has not."""
    return build("lenet-300-100", recipe, cache=CACHE, progress=silent).path
