"""Names of parameters, from those of another program to ours and back."""

from collections.abc import Sequence


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
