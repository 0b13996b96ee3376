"""LeNet-5 as Caffe has it: the convolutional digit classifier that pruning and compression papers report."""

from qsim.formats.fixed import FixedFormat
from qsim.model.geometry import ImageGeometry
from qsim.model.graph import Activation
from workloads.workload import ConvolutionShape, LayerShape, Normalisation, Published, Training, Workload


def _pool(side: int, channels: int) -> ImageGeometry:
    return ImageGeometry(height=side, width=side, channels=channels, kernel=(2, 2), stride=(2, 2))


WORKLOAD = Workload(
    name="lenet-5",
    citation=(
        "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to document recognition, Proc. IEEE 86 (1998), "
        "in the variant of Caffe (Y. Jia et al., 2014, examples/mnist/lenet.prototxt); "
        "compressed in S. Han, H. Mao, W. J. Dally, Deep Compression, ICLR 2016, arXiv:1510.00149"
    ),
    # Layer names as in Caffe and in Deep Compression, Table 3. Caffe's network has one rectifier, behind ip1.
    layers=(
        ConvolutionShape(
            name="conv1",
            geometry=ImageGeometry(height=28, width=28, channels=1, kernel=(5, 5)),
            out_channels=20,
            activation=Activation.NONE,
            pool=_pool(24, 20),
        ),
        ConvolutionShape(
            name="conv2",
            geometry=ImageGeometry(height=12, width=12, channels=20, kernel=(5, 5)),
            out_channels=50,
            activation=Activation.NONE,
            pool=_pool(8, 50),
        ),
        LayerShape(name="ip1", inputs=800, outputs=500, activation=Activation.RELU),
        LayerShape(name="ip2", inputs=500, outputs=10, activation=Activation.NONE),
    ),
    published=Published(
        source="Deep Compression, arXiv:1510.00149v5, Tables 1 and 3",
        reference_kilobytes=1720,
        compressed_kilobytes=44,
        reference_error_percent=0.80,
        compressed_error_percent=0.74,
        kept_percent=(66, 12, 8, 19),
    ),
    normalisation=Normalisation(mean=0.13066, deviation=0.30811, input_format=FixedFormat(16, 8)),
    training=Training(seed=0, epochs=8, learning_rate=0.02, shift=1),
    checkpoint="lenet_5.safetensors",
    checkpoint_sha256="9b28d20182fec4177d82877fae091cf1b796476e6e0ad38cc4358b6be12ae8dc",
)
