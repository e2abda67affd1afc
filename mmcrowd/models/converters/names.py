"""Names of parameters, from those of another program to ours and back."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn


def rename(name: str, pairs: Sequence[tuple[str, str]]) -> str:
    """Replace the beginning of a name by the first pair ``(old, new)`` that fits.

    Raises:
        ValueError: None fits.

    Examples:
        >>> rename('last_layer.0.bias', [('last_layer.0.', 'head.'), ('', 'backbone.')])
        'head.bias'
    """
    for old, new in pairs:
        if name.startswith(old):
            return new + name[len(old) :]
    raise ValueError(f'no parameter of this network: "{name}"')


def backwards(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs for the way back."""
    return [(new, old) for old, new in pairs]


def name_table(
    parts: Mapping[str, nn.Module], pairs: Sequence[tuple[str, str]], back: bool = False
) -> dict[str, tuple[str, torch.Size]]:
    """New name and shape of every parameter and buffer of a network, by its old name.

    Args:
        parts: The parts of a counter of ours, such as ``backbone``, ``neck`` and ``head``; they may
            be on the meta device.
        pairs: Beginnings of names ``(theirs, ours)``.
        back: Whether the old names are ours. Defaults to False.
    """
    table = {}
    for part, module in parts.items():
        for name, value in module.state_dict().items():
            ours = f'{part}.{name}'
            theirs = rename(ours, backwards(pairs))
            table[ours if back else theirs] = (theirs if back else ours, value.shape)
    return table


def rename_network(
    state_dict: Mapping[str, torch.Tensor],
    tables: Mapping[str, Mapping[str, tuple[str, torch.Size]]],
) -> dict[str, torch.Tensor]:
    """Rename the parameters of one of several networks, whichever they are.

    Args:
        state_dict: Parameters and buffers under their old names.
        tables: For each network, under the name that messages call it by, its
            :func:`name_table`.

    Raises:
        ValueError: They are the parameters of none of the networks. The message compares them with
            the one that most of them fit.
    """

    def fitting(network: str) -> int:
        table = tables[network]
        return sum(
            name in table and table[name][1] == state_dict[name].shape for name in state_dict
        )

    network = max(tables, key=fitting)
    table = tables[network]
    missing = sorted(set(table) - set(state_dict))
    unknown = sorted(set(state_dict) - set(table))
    reshaped = [
        f'{name} {tuple(value.shape)} instead of {tuple(table[name][1])}'
        for name, value in state_dict.items()
        if name in table and value.shape != table[name][1]
    ]
    if missing or unknown or reshaped:
        raise ValueError(
            f'not the parameters of {" or ".join(tables)}; compared with {network}, '
            f'{len(missing)} are missing {missing[:3]}, {len(unknown)} are unknown {unknown[:3]}, '
            f'{len(reshaped)} have another shape {reshaped[:3]}'
        )
    return {table[name][0]: value for name, value in state_dict.items()}
