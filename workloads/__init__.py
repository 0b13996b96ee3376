"""The networks that qsim compresses or estimates: one file each, and the tables of them. Data and loaders beside them.

``WORKLOADS`` have float weights here and can be trained, compressed and measured; ``NETWORKS`` have synthetic weights and are estimated;
``TRAINED`` have the trained weights that packages ship (extra ``networks``), are estimated, and their fidelity is measured.
"""

from workloads import (
    alexnet,
    crepe,
    efficientnet_lite,
    ese_lstm,
    lenet_5,
    lenet_300_100,
    minilm,
    mobilenet,
    neuraltalk,
    resnet,
    resnet_32,
    silero_vad,
    squeezenet,
    transformer,
    unet,
    vgg_16,
    voice_encoder,
)
from workloads.builder import NetworkWorkload
from workloads.packaged import TrainedNetwork
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

TRAINED: dict[str, TrainedNetwork] = {
    network.name: network
    for network in (
        efficientnet_lite.WORKLOAD,
        crepe.TINY,
        crepe.FULL,
        minilm.WORKLOAD,
        voice_encoder.WORKLOAD,
        silero_vad.WORKLOAD,
    )
}
