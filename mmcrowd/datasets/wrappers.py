"""Datasets inside wrappers: those of MMEngine (repeat, concatenate, balance) and subsets."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from torch.utils.data import Dataset

D = TypeVar('D', Dataset, Mapping)


def iter_datasets(dataset: D, key: str = 'dataset') -> Iterator[tuple[str, D]]:
    """A dataset and all that are inside it, or their configs; a wrapper comes before its content.

    Args:
        dataset: Dataset, or its config.
        key: Its dotted key. Defaults to 'dataset'.

    Yields:
        The key of each dataset, and the dataset.

    Examples:
        >>> one = dict(type='UCFQNRFDataset')
        >>> joined = dict(type='ConcatDataset', datasets=[one, one])
        >>> repeated = dict(type='RepeatDataset', times=2, dataset=joined)
        >>> for key, cfg in iter_datasets(repeated):
        ...     print(key, cfg['type'])
        dataset RepeatDataset
        dataset.dataset ConcatDataset
        dataset.dataset.datasets.0 UCFQNRFDataset
        dataset.dataset.datasets.1 UCFQNRFDataset
    """
    yield key, dataset
    for name, inner in _inner(dataset).items():
        yield from iter_datasets(inner, f'{key}.{name}')


def unwrap(dataset: D) -> list[D]:
    """The datasets, or their configs, that are no wrappers, in their order.

    Examples:
        >>> one = dict(type='UCFQNRFDataset')
        >>> unwrap(dict(type='RepeatDataset', times=2, dataset=one)) == unwrap(one) == [one]
        True
    """
    return [each for _, each in iter_datasets(dataset) if not _inner(each)]


def _inner(dataset: D) -> dict[str, D]:
    """What a wrapper holds, by its key there."""
    found = {f'datasets.{k}': each for k, each in enumerate(_get(dataset, 'datasets') or ())}
    if _get(dataset, 'dataset') is not None:
        found['dataset'] = _get(dataset, 'dataset')
    return found


def _get(dataset: D, name: str):
    return dataset.get(name) if isinstance(dataset, Mapping) else getattr(dataset, name, None)
