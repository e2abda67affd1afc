"""Time the training pipeline of UCF-QNRF on large photos, and measure its workers' memory.

The photos are made of your own images: enlarged, put together, with noise, and saved with quality
90 at the given number of bits per pixel. Three forms run in turn on the same photos and with the
same seeds, on one thread:

- ``plain``, as a straightforward PyTorch loader: decode the whole image, make it a float tensor,
  normalise, cut the window out and resize it;
- ``whole``, the pipeline of the config with ``LoadCrowdImage(lazy=False)``;
- ``lazy``, the same with ``lazy=True``.

Each ends with a normalised crop and its partition. ``decode`` is the decoding of the whole image
alone. The table gives the images per second of processor time and worker, from the median over the
rounds. The second table is of loader workers with the annotations of a data set of QNRF's size,
after some batches: memory of a worker that is its own, with its share of what several processes
share, and what each further worker adds to all processes together; the batches that wait to be
fetched are not included. ::

    python tools/analysis_tools/benchmark_loader.py data/ShanghaiTech/part_A/train_data/images
"""

import argparse
import json
import multiprocessing
import os
import re
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader

from mmcrowd import command_line
from mmcrowd.datasets import CrowdDataset
from mmcrowd.engine.config import read_config
from mmcrowd.engine.open_files import allow_open_files
from mmcrowd.fileio.files import is_hidden
from mmcrowd.ops.partition import nearest_point_partition
from mmcrowd.registry import TRANSFORMS

CONFIG = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets' / 'qnrf.py'
QUALITY = 90
POINTS = 815  # of an image, the mean of UCF-QNRF
MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Time the loader on large photos')
    parser.add_argument('images', help='folder with JPEG images to make the photos of')
    parser.add_argument(
        '--sizes',
        nargs='+',
        default=['3000x2000', '4000x3000', '6000x4000'],
        help='width x height of the photos; default: 3000x2000 4000x3000 6000x4000',
    )
    parser.add_argument('--bits', type=float, default=2.5, help='per pixel; default: 2.5')
    parser.add_argument('--photos', type=int, default=6, help='of each size; default: 6')
    parser.add_argument('--rounds', type=int, default=7, help='timed rounds; default: 7')
    parser.add_argument(
        '--workers', type=int, nargs=2, default=[1, 4], help='to compare; default: 1 4'
    )
    parser.add_argument('--entries', type=int, default=1201, help='of the data set; default: 1201')
    parser.add_argument(
        '--entry-points', type=int, default=1042, help='points of each entry; default: 1042'
    )
    parser.add_argument('--batch-size', type=int, default=16, help='default: 16')
    parser.add_argument('--batches', type=int, default=4, help='per worker; default: 4')
    return parser.parse_args()


def write_photos(
    sources: list[Path], size: tuple[int, int], args: argparse.Namespace, folder: Path
) -> list[dict]:
    """Write photos of ``size = (w, h)``; what a data set would give for each of them."""
    width, height = size
    rng = np.random.default_rng(0)
    infos, sigma = [], None
    for k in range(args.photos):
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
            sigma = fit_noise(photo, noise, args.bits)
        path = folder / f'{width}x{height}_{k}.jpg'
        path.write_bytes(encode(photo, sigma * noise))
        points = rng.uniform(-0.5, (width - 0.5, height - 0.5), (POINTS, 2)).astype(np.float32)
        infos.append(dict(img_path=str(path), points=points))
    return infos


def encode(photo: np.ndarray, noise: np.ndarray) -> bytes:
    noisy = np.clip(photo + noise, 0, 255).astype(np.uint8)
    return cv2.imencode('.jpg', noisy, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def fit_noise(photo: np.ndarray, noise: np.ndarray, bits: float) -> float:
    """Factor of the noise that gives so many bits per pixel, by bisection."""
    low, high = 0.0, 64.0
    for _ in range(8):
        middle = (low + high) / 2
        coded = 8 * len(encode(photo, middle * noise)) / noise.size
        low, high = (middle, high) if coded < bits else (low, middle)
    return low


def make_forms(cfg: Config) -> dict[str, Callable]:
    """Functions of a data set's entry."""
    return dict(
        decode=lambda info: cv2.imread(info['img_path']),
        plain=partial(plain, cfg=cfg),
        whole=partial(piped, pipeline=build_pipeline(cfg, lazy=False)),
        lazy=partial(piped, pipeline=build_pipeline(cfg, lazy=True)),
    )


def build_pipeline(cfg: Config, lazy: bool) -> Compose:
    load, *others, pack = cfg.train_pipeline
    stride = cfg.train_dataloader.dataset.partition_stride
    partition = dict(type='PartitionByNearestPoint', stride=stride)
    steps = (dict(load, lazy=lazy), *others, partition, pack)
    return Compose([TRANSFORMS.build(step) for step in steps])


def piped(info: dict, pipeline: Compose) -> tuple:
    packed = pipeline({key: np.copy(v) if key == 'points' else v for key, v in info.items()})
    crop = packed['inputs'][[2, 1, 0]].float().sub_(MEAN).div_(STD)
    return crop, packed['data_samples'].gt_partition.index


def plain(info: dict, cfg: Config) -> tuple:
    """Read, scale, crop and partition as the config says, without any care for speed."""
    steps = {step['type']: step for step in cfg.train_pipeline}
    size, scale_range = (steps['RandomScaleCrop'][key] for key in ('crop_size', 'scale_range'))
    img = cv2.cvtColor(cv2.imread(info['img_path']), cv2.COLOR_BGR2RGB)
    img = torch.from_numpy(img).permute(2, 0, 1).contiguous().float().sub_(MEAN).div_(STD)
    height, width = img.shape[1:]
    scale = min(1, steps['LimitSide']['longest'] / max(height, width))
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


def time_forms(forms: dict[str, Callable], infos: list[dict], rounds: int) -> dict[str, float]:
    """Median processor seconds of one image."""
    seconds = {form: [] for form in forms}
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
    infos: list[dict], steps: list, args: argparse.Namespace, folder: Path
) -> CrowdDataset:
    """A data set with many entries that share a few photos."""
    rng = np.random.default_rng(0)
    size = cv2.imread(infos[0]['img_path']).shape[:2]
    entries = [
        dict(
            img_path=infos[k % len(infos)]['img_path'],
            img_id=str(k),
            points=(rng.random((args.entry_points, 2)) * size[::-1] - 0.5).round(2).tolist(),
            split='train',
        )
        for k in range(args.entries)
    ]
    # Without a "val" image, every tenth would be left out.
    entries.append(dict(img_path=infos[0]['img_path'], img_id='val', points=[], split='val'))
    path = folder / 'annotations.json'
    path.write_text(json.dumps(dict(data_list=entries)), encoding='utf-8')
    return CrowdDataset(ann_file=str(path), pipeline=steps, cache=False)


def measure_memory(
    dataset: CrowdDataset, num_workers: int, args: argparse.Namespace
) -> tuple[dict[str, float], float]:
    """Memory of one worker (mean) and of all processes together (proportional), in MiB."""
    loader = DataLoader(
        dataset, args.batch_size, num_workers=num_workers, collate_fn=pseudo_collate
    )
    batches = iter(loader)
    for _ in range(min(args.batches * num_workers, len(loader))):
        next(batches)
    workers = [read_memory(process.pid) for process in multiprocessing.active_children()]
    own = read_memory(os.getpid())
    mean = {key: statistics.mean(worker[key] for worker in workers) for key in own}
    return mean, own['proportional'] + sum(worker['proportional'] for worker in workers)


def read_memory(pid: int) -> dict[str, float]:
    """Private and proportional memory of a process in MiB."""
    text = Path(f'/proc/{pid}/smaps_rollup').read_text(encoding='utf-8')
    value = {key: int(kib) / 1024 for key, kib in re.findall(r'(\w+): +(\d+) kB', text)}
    return dict(
        private=value['Private_Clean'] + value['Private_Dirty'],
        proportional=value['Pss'],
    )


def main() -> None:
    args = parse_args()
    sources = sorted(p for p in Path(args.images).glob('*.jpg') if not is_hidden(p.name))
    if not sources:
        raise FileNotFoundError(f'no *.jpg in {args.images}')
    allow_open_files()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    init_default_scope('mmcrowd')
    cfg = read_config(CONFIG)
    forms = make_forms(cfg)
    with TemporaryDirectory() as name:
        folder = Path(name)
        print(
            f'{"size":>10} {"bits":>5} '
            + ' '.join(f'{form + " /s":>10}' for form in forms)
            + f' {"plain/whole":>12} {"plain/lazy":>11}',
            flush=True,
        )
        for size in args.sizes:
            infos = write_photos(sources, tuple(map(int, size.split('x'))), args, folder)
            seconds = time_forms(forms, infos, args.rounds)
            coded = sum(Path(info['img_path']).stat().st_size for info in infos)
            bits = 8 * coded / np.prod([int(side) for side in size.split('x')]) / len(infos)
            inverse = {form: seconds['plain'] / seconds[form] for form in ('whole', 'lazy')}
            print(
                f'{size:>10} {bits:5.2f} '
                + ' '.join(f'{1 / seconds[form]:10.1f}' for form in forms)
                + f' {inverse["whole"]:12.2f} {inverse["lazy"]:11.2f}',
                flush=True,
            )
            if size == args.sizes[0]:
                first = infos
        print(
            f'\n{"form":>6} {"workers":>8} {"private":>9} {"prop.":>9} '
            f'{"further worker":>15}   MiB',
            flush=True,
        )
        for form in ('whole', 'lazy'):
            dataset = build_dataset(
                first, forms[form].keywords['pipeline'].transforms, args, folder
            )
            totals = []
            for num_workers in args.workers:
                worker, total = measure_memory(dataset, num_workers, args)
                totals.append(total)
                further = ''
                if len(totals) == 2:
                    further = f'{(total - totals[0]) / (num_workers - args.workers[0]):15.0f}'
                print(
                    f'{form:>6} {num_workers:8} {worker["private"]:9.0f} '
                    f'{worker["proportional"]:9.0f} {further}',
                    flush=True,
                )


if __name__ == '__main__':
    command_line.run(main)
