"""What networks with attention are made of: encodings of positions, layers, windows."""

from .sine_encoding import grid_encoding, padded_cells, sine_encoding
from .transformer_layers import (
    ConditionalDecoderLayer,
    DecoderLayer,
    EncoderLayer,
    mlp,
    usable_mask,
)
from .windows import WindowEncoder, from_windows, to_windows

__all__ = [
    'ConditionalDecoderLayer',
    'DecoderLayer',
    'EncoderLayer',
    'WindowEncoder',
    'from_windows',
    'grid_encoding',
    'mlp',
    'padded_cells',
    'sine_encoding',
    'to_windows',
    'usable_mask',
]
