"""The networks that qsim compresses: one file each, and the table of them. Data and loaders beside them."""

from workloads import lenet_5, lenet_300_100
from workloads.workload import Workload

WORKLOADS: dict[str, Workload] = {
    lenet_300_100.WORKLOAD.name: lenet_300_100.WORKLOAD,
    lenet_5.WORKLOAD.name: lenet_5.WORKLOAD,
}
