"""Devices: the search for them, the device of new arrays, transfers of arrays, and the interface of a backend."""

from dlarray.device import choice, device, errors, search, transfers
from dlarray.device.choice import *
from dlarray.device.device import *
from dlarray.device.errors import *
from dlarray.device.search import *
from dlarray.device.transfers import *

__all__: list[str] = []
__all__ += choice.__all__
__all__ += device.__all__
__all__ += errors.__all__
__all__ += search.__all__
__all__ += transfers.__all__
