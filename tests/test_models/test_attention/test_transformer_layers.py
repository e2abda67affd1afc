import torch
import torch.nn.functional as F

from mmcrowd.models.attention import (
    ConditionalDecoderLayer,
    DecoderLayer,
    EncoderLayer,
    WindowEncoder,
    from_windows,
    to_windows,
    usable_mask,
)


def attention(query, key, value, heads):
    """Attention of one image by its formula, one head after the other."""
    parts = zip(*(x.chunk(heads, -1) for x in (query, key, value)), strict=True)
    return torch.cat(
        [(q @ k.T / q.shape[-1] ** 0.5).softmax(-1) @ v for q, k, v in parts],
        -1,
    )


def projected(module, query, key, value):
    weights, biases = module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3)
    inputs = zip((query, key, value), weights, biases, strict=True)
    return module.out_proj(attention(*(F.linear(*part) for part in inputs), module.num_heads))


def feed_forward(layer, x):
    return layer.linear2(layer.linear1(x).relu())


def random(*size, seed=0):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_encoder_layer_by_formula():
    torch.manual_seed(0)
    layer = EncoderLayer(8, 2, 12).double()
    x, position = random(6, 8), random(6, 8, seed=1)
    expected = layer.norm1(x + projected(layer.self_attn, x + position, x + position, x))
    expected = layer.norm2(expected + feed_forward(layer, expected))
    # Two more tokens that none looks at.
    padded = [torch.cat((t, random(2, 8, seed=2)))[None] for t in (x, position)]
    mask = torch.arange(8)[None] > 5
    torch.testing.assert_close(layer(*padded, mask)[0, :6], expected)


def test_decoder_layer_by_formula():
    torch.manual_seed(0)
    layer = DecoderLayer(8, 2, 12).double()
    x, position = random(3, 8), random(3, 8, seed=1)
    memory, place = random(5, 8, seed=2), random(5, 8, seed=3)
    expected = layer.norm1(x + projected(layer.self_attn, x + position, x + position, x))
    seen = projected(layer.cross_attn, expected + position, memory + place, memory)
    expected = layer.norm2(expected + seen)
    expected = layer.norm3(expected + feed_forward(layer, expected))
    masks = [torch.zeros(1, number, dtype=torch.bool) for number in (3, 5)]
    actual = layer(*(t[None] for t in (x, position, memory, place)), *masks)
    torch.testing.assert_close(actual[0], expected)


def test_conditional_decoder_layer_by_formula():
    """Its published form is compared in test_systems; here is its mask."""
    torch.manual_seed(0)
    layer = ConditionalDecoderLayer(8, 2, 12, dropout=0.0, is_first=True).double()
    queries = [random(1, 3, 8, seed=i) for i in range(3)]
    memory = [random(1, 5, 8, seed=i) for i in (3, 4)]
    expected = layer(*queries, *memory, torch.zeros(1, 5, dtype=torch.bool))
    padded = [torch.cat((t, random(1, 2, 8, seed=9)), 1) for t in memory]
    actual = layer(*queries, *padded, torch.arange(7)[None] > 4)
    torch.testing.assert_close(actual, expected)


def test_windows():
    maps = random(2, 3, 4, 6)
    windows = to_windows(maps, (2, 3))
    assert windows.shape == (2 * 2 * 2, 6, 3)
    torch.testing.assert_close(windows[6], maps[1, :, 2:, :3].flatten(1).T)
    torch.testing.assert_close(from_windows(windows, (2, 3), (4, 6)), maps)


def test_window_encoder_looks_inside_of_windows():
    torch.manual_seed(0)
    encoder = WindowEncoder(8, [(2, 4), (2, 2)], 2, 12).double()
    maps, position = random(1, 8, 4, 4), random(1, 8, 4, 4, seed=1)
    padding = torch.zeros(1, 4, 4, dtype=torch.bool)
    padding[:, 2:] = True  # whole windows
    encoded = encoder(maps, position, padding)
    assert encoded.isfinite().all()
    other = maps.clone()
    other[:, :, 2:] = 0
    other[:, :, 0, 3] = 5
    changed = (encoder(other, position, padding) != encoded).any(1)[0]
    assert changed[:2].all()  # the first layer has windows of four columns
    narrow = WindowEncoder(8, [(2, 2)], 2, 12).double()
    changed = (narrow(other, position, padding) != narrow(maps, position, padding)).any(1)[0]
    assert changed[:2].tolist() == [[False, False, True, True]] * 2


def test_rows_that_are_masked_as_a_whole():
    mask = torch.tensor([[True, False], [True, True]])
    assert usable_mask(mask).tolist() == [[True, False], [False, False]]
