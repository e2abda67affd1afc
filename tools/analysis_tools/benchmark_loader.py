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
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import torch
from mmengine.registry import init_default_scope

from mmcrowd import command_line
from mmcrowd.analysis.benchmarks.loader import (
    build_dataset,
    build_pipeline,
    make_forms,
    measure_memory,
    time_forms,
    write_photos,
)
from mmcrowd.engine.config import read_config
from mmcrowd.engine.launch import allow_open_files
from mmcrowd.fileio.files import is_hidden


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


def main() -> None:
    args = parse_args()
    sources = sorted(p for p in Path(args.images).glob('*.jpg') if not is_hidden(p.name))
    if not sources:
        raise FileNotFoundError(f'no *.jpg in {args.images}')
    allow_open_files()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    init_default_scope('mmcrowd')
    cfg = read_config('mmcrowd::pml_hrnet_qnrf')
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
            width, height = map(int, size.split('x'))
            infos = write_photos(sources, (width, height), args.photos, args.bits, folder)
            seconds = time_forms(forms, infos, args.rounds)
            coded = sum(Path(info['img_path']).stat().st_size for info in infos)
            bits = 8 * coded / (width * height) / len(infos)
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
            steps = build_pipeline(cfg, lazy=form == 'lazy').transforms
            dataset = build_dataset(first, steps, args.entries, args.entry_points, folder)
            totals = []
            for num_workers in args.workers:
                worker, total = measure_memory(dataset, num_workers, args.batch_size, args.batches)
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
