"""Published networks on weights made by a rule, for comparison with their stored outputs."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import torch


def load_rule(folder: Path):
    """The rule by which weights and inputs follow from names and a seed, ``rule.py``."""
    spec = spec_from_file_location('golden_rule', folder / 'rule.py')
    rule = module_from_spec(spec)
    spec.loader.exec_module(rule)
    return rule


class Golden:
    """Outputs of a published program, and the weights and inputs that gave them.

    Args:
        folder: Folder of the stored outputs, with the rule beside them.
        name: Name of the system.
    """

    def __init__(self, folder: Path, name: str):
        self._rule = load_rule(folder)
        with np.load(folder / f'{name}.npz') as arrays:
            self._arrays = dict(arrays)
        self.seed = int(self['seed'])

    def __getitem__(self, key: str) -> np.ndarray:
        return self._arrays[key]

    def __contains__(self, key: str) -> bool:
        return key in self._arrays

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Weights under their published names, float64, without entries that no rule fills."""
        names = [str(name) for name in self['names']]
        # Shared modules have several names, and the values of the first.
        sources = [str(name) for name in self['value_names' if 'value_names' in self else 'names']]
        shapes = [tuple(map(int, filter(None, str(text).split(',')))) for text in self['shapes']]
        gains = self['gain_per_name'] if 'gain_per_name' in self else [self['gain']] * len(names)
        absent = set(map(str, self['not_filled'])) if 'not_filled' in self else set()
        values = {
            name: torch.as_tensor(self._rule.value(source, shape, self.seed, float(gain)))
            for name, source, shape, gain in zip(names, sources, shapes, gains, strict=True)
            if name not in absent
        }
        if 'override_names' in self:
            for name, row in zip(self['override_names'], self['override_values'], strict=True):
                values[str(name)] = torch.as_tensor(row[~np.isnan(row)])
        return values

    def image(self, shape: np.ndarray, offset: int = 0) -> torch.Tensor:
        """Normalised input, float64."""
        return torch.as_tensor(self._rule.image(self.seed + offset, tuple(map(int, shape))))

    def points(self, image: int, key: str = 'points') -> torch.Tensor:
        """Points of one image of a batch, float64, as stored."""
        return torch.as_tensor(self[f'{key}_xy'][self[f'{key}_image'] == image])


def assert_equal(actual, expected, rel: float = 1e-9) -> None:
    """The largest difference is below ``rel`` of the largest value."""
    actual = actual.detach() if isinstance(actual, torch.Tensor) else actual
    actual, expected = np.asarray(actual, float), np.asarray(expected, float)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=rel * np.abs(expected).max())
