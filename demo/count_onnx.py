"""Count people with a file of `mmcrowd export`, without PyTorch: onnxruntime, numpy and Pillow.

python count_onnx.py counter.onnx photo.jpg ...
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def read_photo(path: str, channel_order: str) -> np.ndarray:
    """Pixels (H, W, C) in the order of the network, after EXIF rotation."""
    pixels = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert('RGB'))
    if channel_order == 'GRAY':
        red, green, blue = pixels.astype(np.float32).transpose(2, 0, 1)
        return np.round(0.114 * blue + 0.587 * green + 0.299 * red)[..., None]
    return pixels if channel_order == 'RGB' else pixels[..., ::-1]


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
    pixels = read_photo(path, about['channel_order'])
    height, width = pixels.shape[:2]
    mean, std = (np.float32(json.loads(about[key])) for key in ('mean', 'std'))
    image = np.zeros((1, pixels.shape[2], -(-height // divisor) * divisor,
                      -(-width // divisor) * divisor), np.float32)  # fmt: skip
    image[0, :, :height, :width] = ((pixels - mean) / std).transpose(2, 0, 1)
    feed = dict(image=image, size=np.array([[height, width]]))
    outputs = session.run(None, {each.name: feed[each.name] for each in session.get_inputs()})
    rows, columns = -(-height // stride), -(-width // stride)
    density = outputs[0][0, 0, :rows, :columns]
    if len(outputs) > 1:  # the peaks are in the file
        peaks = outputs[1][0, 0, :rows, :columns]
    else:
        peaks = local_maxima(density, threshold=0.01)
    points = np.argwhere(peaks)[:, ::-1] * stride + (stride - 1) / 2
    return float(density.sum(dtype=np.float64)), np.minimum(points, [width - 1, height - 1])


if __name__ == '__main__':
    session = onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])
    for path in sys.argv[2:]:
        persons, points = count(session, path)
        print(f'{path}: count {persons:.1f}, {len(points)} local maxima')
