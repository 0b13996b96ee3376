"""``python -m benchmarks.lvq``: the 10-fold errors of the eleven LVQ classifiers on two sets of scikit-learn and on MNIST, as a table."""

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import torch
from rich.console import Console
from sklearn.datasets import load_digits, load_wine
from sklearn.feature_selection import VarianceThreshold
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from qsim.lvq import CLASSIFIERS
from workloads.mnist import load_mnist

FOLDS = 10
# Of MNIST's 784 pixels: a matrix of full rank for each prototype would be 12 million numbers.
RANK = 16


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.lvq", description=__doc__)
    parser.add_argument("--digits", type=int, default=2000, help="how many of the MNIST training digits")
    parser.add_argument("--per-class", type=int, default=2, help="prototypes of each class")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    console = Console(width=160)
    train = load_mnist().train.part(0, given.digits)
    sets = {
        "wine": load_wine(return_X_y=True),
        "digits (8 x 8)": load_digits(return_X_y=True),
        f"MNIST, {given.digits:,} digits": (train.images.astype(np.float64), train.labels),
    }
    console.print(f"| method | {' | '.join(sets)} |", markup=False)
    console.print(f"|---|{'---|' * len(sets)}", markup=False)
    for method, kind in CLASSIFIERS.items():
        cells = []
        for name, (inputs, targets) in sets.items():
            extra = {"rank": RANK} if "gmlvq" in method and name.startswith("MNIST") else {}
            classifier = kind(prototypes_per_class=given.per_class, random_state=0, **extra)
            # Pixels share one unit; the features of wine do not.
            scaled = make_pipeline(VarianceThreshold(), *([] if name.startswith("MNIST") else [StandardScaler()]), classifier)
            folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
            errors = 1.0 - cross_val_score(scaled, inputs, targets, cv=folds)
            cells.append(f"{errors.mean():.4f} ({errors.std():.4f})")
        console.print(f"| {kind.__name__.replace('LVQ21', 'LVQ2.1')} | {' | '.join(cells)} |", markup=False, highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
