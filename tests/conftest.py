"""Settings for the whole test run.

torch runs with one thread: two OpenMP threads on a busy machine spin against each other and fall to 1/50 of the speed.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("MKL_NUM_THREADS", "1")

from hypothesis import HealthCheck, settings

settings.register_profile(
    "qsim", deadline=None, max_examples=50, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("qsim")
