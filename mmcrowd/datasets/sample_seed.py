import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset


class SeededSamples:
    """Samples whose random draws are a function of seed, epoch and place in the dataset.

    The place is the index in the dataset that the loader iterates, wrappers included: the copies
    of an image in a ``RepeatDataset`` differ, and so do the first images of joined datasets. A
    sampler that gives an index twice in an epoch gets the same sample twice.

    PyTorch's loader takes a batch from ``dataset.__getitems__``, if there is one. :meth:`attach`
    puts this object there, so that it works for datasets and wrappers of any kind, with any number
    of workers; the datasets themselves know nothing of seeds. Seeded are the generators that
    transforms draw from: Python's, NumPy's and PyTorch's on the CPU. Afterwards each of them is as
    it was.

    Args:
        dataset: The outermost dataset, with samples by index.
        seed: Seed of the run, not negative.
    """

    def __init__(self, dataset: Dataset, seed: int):
        self.dataset = dataset
        self.seed = seed
        # Workers that are running already see it change.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """From now on give the samples of this epoch, in running workers too."""
        self._epoch.fill_(epoch)

    def attach(self) -> None:
        """Have loaders of the dataset take their batches here."""
        self.dataset.__getitems__ = self  # type: ignore[attr-defined]  # a hook of DataLoader

    def detach(self) -> None:
        """Undo :meth:`attach`."""
        vars(self.dataset).pop('__getitems__', None)

    def __call__(self, indices: Sequence[int]) -> list[Any]:
        """The samples at these places."""
        states = random.getstate(), np.random.get_state(), torch.get_rng_state()
        try:
            return [self._sample(index) for index in indices]
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_rng_state(states[2])

    def _sample(self, index: int) -> Any:
        words = np.random.SeedSequence([self.seed, self._epoch.item(), index]).generate_state(8)
        np.random.seed(words)
        random.seed(words.tobytes())
        # torch.manual_seed would reseed the GPU too, which the model draws from.
        torch.default_generator.manual_seed(int.from_bytes(words.tobytes()[:8], 'little') >> 1)
        return self.dataset[index]
