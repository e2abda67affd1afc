"""Count people with a file of `mmcrowd export`, without PyTorch: onnxruntime, numpy and Pillow.

python count_onnx.py counter.onnx photo.jpg ...
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def read_photo(path: str, channel_order: str, steps: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (H, W, C) at the size and in the order of the network, and the photo's size (h, w)."""
    pixels = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert('RGB'))
    original = np.array(pixels.shape[:2])
    for step in steps:
        pixels = resize(pixels, size_for(*pixels.shape[:2], step))
    if channel_order == 'GRAY':
        red, green, blue = pixels.astype(np.float32).transpose(2, 0, 1)
        return np.round(0.114 * blue + 0.587 * green + 0.299 * red)[..., None], original
    return (pixels if channel_order == 'RGB' else pixels[..., ::-1]), original


def size_for(height: int, width: int, step: dict) -> tuple[int, ...]:
    """Size (h, w) that a step of the metadata `resize` gives an image."""
    short, long = sorted((height, width))
    fit, part = step.get('fit', (np.inf, np.inf)), step.get('multiple', 1)
    scale = min(fit[0] / height, fit[1] / width) if 'fit' in step else step.get('factor', 1.0)
    scale = min(scale, step.get('longest', np.inf) / long, step.get('high', np.inf) / short)
    scale = max(scale, step.get('low', 0) / short)
    return tuple(max(round(side * scale) // part, 1) * part for side in (height, width))


def resize(pixels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """As OpenCV does: means of areas where both sides shrink, bilinear otherwise."""
    shrinks = all(new <= old for new, old in zip(size, pixels.shape, strict=False))
    for axis, (old, new) in enumerate(zip(pixels.shape[:2], size, strict=True)):
        if old != new:
            width, each = old / new if shrinks else 1.0, np.arange(old)
            start = (np.arange(new)[:, None] + 0.5) * old / new - width / 2
            start = np.clip(start, 0, old - width)
            shares = np.minimum(start + width, each + 1) - np.maximum(start, each)
            shares = np.float32(shares.clip(0) / width)
            pixels = np.moveaxis(np.tensordot(shares, pixels, (1, axis)), 0, axis)
    return np.floor(pixels + 0.5)


def local_maxima(density: np.ndarray, threshold: float) -> np.ndarray:
    """Positive cells (h, w) that are the largest of the 3 x 3 around them."""
    height, width = density.shape
    padded = np.pad(density, 1, constant_values=-np.inf)
    around = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return (density > 0) & (density >= threshold) & (density == np.max(around, axis=0))


def count(session: onnxruntime.InferenceSession, path: str) -> tuple[float, np.ndarray]:
    """Count, and points (k, 2): x, y in pixels of the photo."""
    about = session.get_modelmeta().custom_metadata_map
    divisor, stride = int(about['divisor']), int(about['stride'])
    steps = json.loads(about.get('resize', '[]'))
    pixels, original = read_photo(path, about['channel_order'], steps)
    size = np.array(pixels.shape[:2])
    mean, std = (np.float32(json.loads(about[key])) for key in ('mean', 'std'))
    image = np.zeros((1, pixels.shape[2], *(-(-size // divisor) * divisor)), np.float32)
    image[0, :, : size[0], : size[1]] = ((pixels - mean) / std).transpose(2, 0, 1)
    feed = dict(image=image, size=size[None])
    outputs = session.run(None, {each.name: feed[each.name] for each in session.get_inputs()})
    rows, columns = -(-size // stride)
    density = outputs[0][0, 0, :rows, :columns]
    if len(outputs) > 1:  # the peaks are in the file
        peaks = outputs[1][0, 0, :rows, :columns]
    else:
        peaks = local_maxima(density, threshold=0.1)
    centres = np.minimum(np.argwhere(peaks) * stride + (stride - 1) / 2, size - 1)
    points = (centres + 0.5) * original / size - 0.5
    return float(density.sum(dtype=np.float64)), points[:, ::-1]


if __name__ == '__main__':
    session = onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])
    for path in sys.argv[2:]:
        persons, points = count(session, path)
        print(f'{path}: count {persons:.1f}, {len(points)} local maxima')
