"""Switch-CNN: the weights of its program (github.com/val-iisc/crowd-counting-scnn), under names of
``configs/switch_cnn``.

The program keeps each network in a pickle of its arrays, in the order of the layers. They are read
without running any code that a pickle may hold.
"""

import codecs
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mmcrowd.models.backbones import SwitchMCNN
from mmcrowd.models.heads import SwitchHead

# Kernels of the first convolutions, by which the files are called: '9x9_net.pkl' after the first
# stage, 'shallow_9x9.pkl' after the others.
COLUMNS = ('9x9', '7x7', '5x5')
SWITCH = 'classifier'
VGG16 = dict(type='mmcrowd.VGGFeatures', depth=16, out_stages=(4,))


class ArrayUnpickler(pickle.Unpickler):
    """Reads a pickle of numpy arrays, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ('numpy.core.multiarray', 'numpy._core.multiarray') and name == '_reconstruct':
            return np.zeros(0).__reduce__()[0]  # type: ignore[misc]
        if module == '_codecs' and name == 'encode':  # bytes, by Python 3
            return codecs.encode
        if module == 'numpy' and name in ('ndarray', 'dtype'):
            return getattr(np, name)
        raise pickle.UnpicklingError(f'holds {module}.{name}, expected arrays only')


def read_arrays(path: str | Path) -> list[torch.Tensor]:
    """Read the parameters of one network.

    Args:
        path: Pickle of a list of arrays, written by Python 2 or 3.

    Raises:
        ValueError: The file is none, or holds more than arrays.
    """
    try:
        with open(path, 'rb') as file:
            # The bytes of arrays are strings to Python 2.
            arrays = ArrayUnpickler(file, encoding='latin1').load()
            return [torch.from_numpy(np.asarray(array, np.float32)) for array in arrays]
    except (pickle.UnpicklingError, EOFError, TypeError, ValueError) as error:
        raise ValueError(f'{path}: no pickle of a list of arrays: {error}') from error


def convert(folder: str | Path) -> dict[str, torch.Tensor]:
    """Read the columns, and the switch if its file is there.

    Channels of the switch are turned from B, G, R to R, G, B, and its first convolution is
    multiplied by the standard deviation that :class:`SwitchMCNN` divides by. The means are the
    published ones, so the switch is the same to the edge.

    Args:
        folder: One of the three folders below ``src/models`` of the program.

    Returns:
        Parameters ``backbone.*`` and ``head.*``.

    Raises:
        FileNotFoundError: The file of a column is not there.
        ValueError: A file does not hold the arrays of its network.
    """
    folder = Path(folder)
    switch = sorted(folder.glob(f'*{SWITCH}*.pkl'))
    with torch.device('meta'):
        backbone = SwitchMCNN(switch=VGG16 if switch else None)
        head = SwitchHead(switch_channels=512 if switch else None)
    state_dict: dict[str, torch.Tensor] = {}
    for number, kernel in enumerate(COLUMNS, 1):
        found = sorted(folder.glob(f'*{kernel}*.pkl'))
        if len(found) != 1:
            names = [path.name for path in found]
            raise FileNotFoundError(f'{folder}: expected one file *{kernel}*.pkl, found {names}')
        parts: dict[str, Any] = {
            f'backbone.column{number}': getattr(backbone, f'column{number}'),
            f'head.predict{number}': getattr(head, f'predict{number}'),
        }
        state_dict |= _named(parts, found[0])
    if switch:
        parts = {
            'backbone.switch': backbone.switch,
            'head.switch': head.switch,
            'head.predict_switch': head.predict_switch,
        }
        named = _named(parts, switch[0])
        std = torch.tensor(backbone.switch_std).view(1, 3, 1, 1)
        first = next(iter(named))
        named[first] = named[first].flip(1) * std
        state_dict |= named
    return state_dict


def _named(parts: dict[str, nn.Module], path: Path) -> dict[str, torch.Tensor]:
    """The arrays of a file under the names of the parts, which have their layers in its order."""
    shapes = {
        f'{part}.{name}': value.shape
        for part, module in parts.items()
        for name, value in module.state_dict().items()
    }
    # Their linear layers are (inputs, outputs).
    arrays = [array.T if array.ndim == 2 else array for array in read_arrays(path)]
    if [array.shape for array in arrays] != list(shapes.values()):
        raise ValueError(
            f'{path}: arrays of {[tuple(array.shape) for array in arrays]}, expected '
            f'{[tuple(shape) for shape in shapes.values()]}'
        )
    return {name: array.contiguous() for name, array in zip(shapes, arrays, strict=True)}
