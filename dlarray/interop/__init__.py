"""Networks of other libraries as trained models, and trained models as networks of PyTorch.

``to_torch`` and ``from_torch`` need PyTorch (``pip install "dlarray[torch]"``), ``from_keras`` needs Keras 3.
"""

from dlarray.interop import keras_import, torch_export, torch_import
from dlarray.interop.keras_import import *
from dlarray.interop.torch_export import *
from dlarray.interop.torch_import import *

__all__: list[str] = []
__all__ += keras_import.__all__
__all__ += torch_export.__all__
__all__ += torch_import.__all__
