"""FPGAs that designs are synthesised for: one file a family, one line a device."""

from rtl.boards.device import Device
from rtl.boards.ecp5 import ECP5_25K, ECP5_85K
from rtl.boards.ice40 import HX8K, UP5K
from rtl.boards.xc7 import XC7

DEVICES: dict[str, Device] = {device.name: device for device in (ECP5_25K, ECP5_85K, UP5K, HX8K, XC7)}
