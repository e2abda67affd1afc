"""The training pipeline of UCF-QNRF on large photos: its time, and the memory of its workers.

:func:`make_forms` has the pipeline beside the plain way that it is compared with.
"""

import json
import multiprocessing
import os
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader

from mmcrowd.datasets import CrowdDataset
from mmcrowd.fileio.images import load_image
from mmcrowd.ops.partition import nearest_point_partition
from mmcrowd.registry import TRANSFORMS

QUALITY = 90
POINTS = 815  # of an image, the mean of UCF-QNRF
MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)


def write_photos(
    sources: Sequence[Path], size: tuple[int, int], number: int, bits: float, folder: Path
) -> list[dict]:
    """Write large photos, each of four images with noise.

    Args:
        sources: JPEG images.
        size: ``(w, h)`` of the photos in pixels.
        number: How many.
        bits: Bits per pixel of the files.
        folder: Where to write them.

    Returns:
        What a dataset would give for each of them: ``img_path`` and ``points``.
    """
    width, height = size
    rng = np.random.default_rng(0)
    infos = []
    sigma: float | None = None
    for k in range(number):
        tiles = [
            cv2.resize(
                cv2.imread(str(sources[(4 * k + i) % len(sources)])),
                (width // 2, height // 2),
                interpolation=cv2.INTER_CUBIC,
            )
            for i in range(4)
        ]
        photo = np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])])
        noise = rng.standard_normal(photo.shape[:2], np.float32)[..., None]
        if sigma is None:
            sigma = _fit_noise(photo, noise, bits)
        path = folder / f'{width}x{height}_{k}.jpg'
        path.write_bytes(_encode(photo, sigma * noise))
        points = rng.uniform(-0.5, (width - 0.5, height - 0.5), (POINTS, 2)).astype(np.float32)
        infos.append(dict(img_path=str(path), points=points))
    return infos


def _encode(photo: np.ndarray, noise: np.ndarray) -> bytes:
    noisy = np.clip(photo + noise, 0, 255).astype(np.uint8)
    return cv2.imencode('.jpg', noisy, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def _fit_noise(photo: np.ndarray, noise: np.ndarray, bits: float) -> float:
    """Factor of the noise that gives so many bits per pixel, by bisection."""
    low, high = 0.0, 64.0
    for _ in range(8):
        middle = (low + high) / 2
        coded = 8 * len(_encode(photo, middle * noise)) / noise.size
        low, high = (middle, high) if coded < bits else (low, middle)
    return low


def make_forms(cfg: Config) -> dict[str, Callable]:
    """Ways from a dataset's entry to a normalised crop and the index of its partition.

    Args:
        cfg: Config with the ``train_pipeline`` of UCF-QNRF.

    Returns:
        Functions of an entry: ``plain``, ``whole`` and ``lazy`` return a crop ``(3, h, w)`` and an
        index; ``decode`` only decodes the image.
    """
    return dict(
        decode=lambda info: cv2.imread(info['img_path']),
        plain=partial(plain_crop, cfg=cfg),
        whole=partial(_piped_crop, pipeline=build_pipeline(cfg, lazy=False)),
        lazy=partial(_piped_crop, pipeline=build_pipeline(cfg, lazy=True)),
    )


def build_pipeline(cfg: Config, lazy: bool) -> Compose:
    """The training pipeline of a config, with the partition and ``LoadCrowdImage(lazy=lazy)``."""
    load, *others, pack = cfg.train_pipeline
    stride = cfg.train_dataloader.dataset.partition_stride
    partition = dict(type='PartitionByNearestPoint', stride=stride)
    steps = (dict(load, lazy=lazy), *others, partition, pack)
    return Compose([TRANSFORMS.build(step) for step in steps])


def _piped_crop(info: dict, pipeline: Compose) -> tuple:
    packed = pipeline({key: np.copy(v) if key == 'points' else v for key, v in info.items()})
    crop = packed['inputs'][[2, 1, 0]].float().sub_(MEAN).div_(STD)
    return crop, packed['data_samples'].gt_partition.index


def plain_crop(info: dict, cfg: Config) -> tuple:
    """Read, scale, crop and partition as the config says, without any care for speed."""
    steps = {step['type']: step for step in cfg.train_pipeline}
    size, scale_range = (steps['RandomScaleCrop'][key] for key in ('crop_size', 'scale_range'))
    img = cv2.cvtColor(cv2.imread(info['img_path']), cv2.COLOR_BGR2RGB)
    img = torch.from_numpy(img).permute(2, 0, 1).contiguous().float().sub_(MEAN).div_(STD)
    height, width = img.shape[1:]
    scale = min(1, steps['ResizeToLimits']['longest'] / max(height, width))
    scale = max(scale * np.random.uniform(*scale_range), size / height, size / width)
    h, w = min(round(size / scale), height), min(round(size / scale), width)
    y0, x0 = np.random.randint(height - h + 1), np.random.randint(width - w + 1)
    crop = interpolate(img[None, :, y0 : y0 + h, x0 : x0 + w], (size, size), mode='bilinear')[0]
    points = (info['points'] - [x0, y0] + 0.5) * [size / w, size / h] - 0.5
    points = points[((points >= -0.5) & (points < size - 0.5)).all(axis=1)].astype(np.float32)
    if np.random.rand() < 0.5:
        crop = crop.flip(2)
        points[:, 0] = size - 1 - points[:, 0]
    stride = cfg.train_dataloader.dataset.partition_stride
    cells = size // stride
    return crop, nearest_point_partition(points, (cells, cells), stride)[0]


def time_forms(
    forms: Mapping[str, Callable], infos: Sequence[dict], rounds: int
) -> dict[str, float]:
    """Median processor seconds of one image, by form.

    Args:
        forms: See :func:`make_forms`. All see the same images with the same seeds, in turn.
        infos: Entries of a dataset.
        rounds: Timed rounds over all images.
    """
    seconds: dict[str, list[float]] = {form: [] for form in forms}
    for k in range(rounds + 1):
        spent = dict.fromkeys(forms, 0.0)
        for i, info in enumerate(infos):
            for form, call in forms.items():
                np.random.seed([k, i])
                start = time.process_time()
                call(info)
                spent[form] += time.process_time() - start
        for form in forms if k else ():  # the first round reads the files and allocates
            seconds[form].append(spent[form] / len(infos))
    return {form: statistics.median(values) for form, values in seconds.items()}


def build_dataset(
    infos: Sequence[dict],
    steps: list,
    entries: int,
    points: int,
    folder: Path,
    partition_stride: int | None = None,
) -> CrowdDataset:
    """A dataset with many entries that share a few photos.

    Args:
        infos: Entries of the photos, see :func:`write_photos`.
        steps: Transforms of its pipeline.
        entries: Number of training images.
        points: Points of each.
        folder: Where its annotations are written.
        partition_stride: See :class:`~mmcrowd.datasets.BaseCrowdDataset`. Defaults to None.
    """
    rng = np.random.default_rng(0)
    size = load_image(infos[0]['img_path']).shape[:2]
    data_list = [
        dict(
            img_path=infos[k % len(infos)]['img_path'],
            img_id=str(k),
            points=(rng.random((points, 2)) * size[::-1] - 0.5).round(2).tolist(),
            split='train',
        )
        for k in range(entries)
    ]
    # Without a "val" image, every tenth would be left out.
    data_list.append(dict(img_path=infos[0]['img_path'], img_id='val', points=[], split='val'))
    path = folder / 'annotations.json'
    path.write_text(json.dumps(dict(data_list=data_list)), encoding='utf-8')
    return CrowdDataset(
        ann_file=str(path), pipeline=steps, cache=False, partition_stride=partition_stride
    )


def build_photos(
    cfg: Config,
    sources: Sequence[Path],
    size: tuple[int, int],
    bits: float,
    entries: int,
    folder: Path,
) -> CrowdDataset:
    """Large photos in the place of the training images of a config, whose pipeline stays.

    Args:
        cfg: Config with ``train_dataloader``; its pipeline begins with ``LoadCrowdImage``.
        sources: See :func:`write_photos`, as size and bits.
        size: See there.
        bits: See there.
        entries: See :func:`build_dataset`.
        folder: Where photos and annotations are written.
    """
    of = cfg.train_dataloader.dataset
    infos = write_photos(sources, size, 6, bits, folder)
    return build_dataset(
        infos, list(of.pipeline), entries, POINTS, folder, of.get('partition_stride')
    )


def measure_memory(
    dataset: CrowdDataset, num_workers: int, batch_size: int, batches: int
) -> tuple[dict[str, float], float]:
    """Measure the memory of a loader's processes; on Linux only.

    Args:
        dataset: What is loaded.
        num_workers: Number of loader workers.
        batch_size: Images of a batch.
        batches: Batches of each worker before the measurement.

    Returns:
        ``private`` and ``proportional`` memory of one worker (mean) and the proportional memory of
        all processes together, in MiB.
    """
    loader: DataLoader = DataLoader(
        dataset, batch_size, num_workers=num_workers, collate_fn=pseudo_collate
    )
    iterator = iter(loader)
    for _ in range(min(batches * num_workers, len(loader))):
        next(iterator)
    workers = [_read_memory(process.pid or 0) for process in multiprocessing.active_children()]
    own = _read_memory(os.getpid())
    mean = {key: statistics.mean(worker[key] for worker in workers) for key in own}
    return mean, own['proportional'] + sum(worker['proportional'] for worker in workers)


def _read_memory(pid: int) -> dict[str, float]:
    """Private and proportional memory of a process in MiB."""
    text = Path(f'/proc/{pid}/smaps_rollup').read_text(encoding='utf-8')
    value = {key: int(kib) / 1024 for key, kib in re.findall(r'(\w+): +(\d+) kB', text)}
    return dict(
        private=value['Private_Clean'] + value['Private_Dirty'],
        proportional=value['Pss'],
    )
