"""Where prototypes begin: the cluster centres of each class."""

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

JITTER = 1e-3  # in standard deviations: two prototypes in one place would never part


def start_prototypes(inputs: Tensor, targets: Tensor, per_class: int, random: np.random.RandomState) -> tuple[Tensor, Tensor]:
    """Return prototypes [classes * per_class, features] and the class of each: k-means centres of every class's samples.

    A class with no more samples than prototypes gives its samples, some of them several times.
    """
    starts, labels = [], []
    for code in range(int(targets.max()) + 1):
        members = inputs[targets == code].numpy()
        if len(members) > per_class:
            centres = KMeans(per_class, n_init=1, random_state=random).fit(members).cluster_centers_
        else:
            centres = members[np.arange(per_class) % len(members)]
        starts.append(centres + JITTER * random.standard_normal(centres.shape))
        labels += [code] * per_class
    return torch.from_numpy(np.concatenate(starts)), torch.tensor(labels)
