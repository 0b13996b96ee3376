"""The networks that qsim compresses or estimates: one file each, and the tables of them. Data and loaders beside them.

``WORKLOADS`` have float weights here and can be trained, compressed and measured; ``NETWORKS`` have synthetic weights and are estimated.
"""

from workloads import (
    alexnet,
    ese_lstm,
    lenet_5,
    lenet_300_100,
    mobilenet,
    neuraltalk,
    resnet,
    resnet_32,
    squeezenet,
    transformer,
    unet,
    vgg_16,
)
from workloads.builder import NetworkWorkload
from workloads.workload import Workload

WORKLOADS: dict[str, Workload] = {
    lenet_300_100.WORKLOAD.name: lenet_300_100.WORKLOAD,
    lenet_5.WORKLOAD.name: lenet_5.WORKLOAD,
}

NETWORKS: dict[str, NetworkWorkload] = {
    network.name: network
    for network in (
        alexnet.WORKLOAD,
        vgg_16.WORKLOAD,
        resnet.RESNET_18,
        resnet.RESNET_50,
        resnet_32.WORKLOAD,
        mobilenet.MOBILENET_V1,
        mobilenet.MOBILENET_V2,
        squeezenet.WORKLOAD,
        unet.WORKLOAD,
        neuraltalk.WORKLOAD,
        ese_lstm.WORKLOAD,
        transformer.WORKLOAD,
    )
}
