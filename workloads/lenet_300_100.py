"""LeNet-300-100: the fully connected digit classifier that pruning and compression papers report."""

from qsim.formats.fixed import FixedFormat
from qsim.model.graph import Activation
from workloads.workload import LayerShape, Normalisation, Published, Training, Workload

WORKLOAD = Workload(
    name="lenet-300-100",
    citation=(
        "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to document recognition, Proc. IEEE 86 (1998); "
        "compressed in S. Han, H. Mao, W. J. Dally, Deep Compression, ICLR 2016, arXiv:1510.00149"
    ),
    # Layer names as in Deep Compression, Table 2.
    layers=(
        LayerShape(name="ip1", inputs=784, outputs=300, activation=Activation.RELU),
        LayerShape(name="ip2", inputs=300, outputs=100, activation=Activation.RELU),
        LayerShape(name="ip3", inputs=100, outputs=10, activation=Activation.NONE),
    ),
    published=Published(
        source="Deep Compression, arXiv:1510.00149v5, Tables 1 and 2",
        reference_kilobytes=1070,
        compressed_kilobytes=27,
        reference_error_percent=1.64,
        compressed_error_percent=1.58,
        kept_percent=(8, 9, 26),
    ),
    # Mean and standard deviation of all training pixels, as commonly given to four or five digits.
    normalisation=Normalisation(mean=0.13066, deviation=0.30811, input_format=FixedFormat(16, 8)),
    # Of seeds 0, 1 and 2 the one with the fewest validation errors (1.30, 1.12, 1.24 %).
    training=Training(seed=1, epochs=30),
    checkpoint="lenet_300_100.safetensors",
    checkpoint_sha256="ef8afba3e0cb5040a59ed25715bcb990880fc1d4d8b6eafb30e385eca3891dec",
)
