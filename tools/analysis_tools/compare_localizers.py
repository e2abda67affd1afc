"""Score localizers, and settings of them, on the points of one checkpoint.

All settings are scored on the validation images; the best of each type by F1 at each ``--radius``
are scored on the test images, once, also if they are the best at several. In the folder
``--out-dir`` are both tables, ``localizers.md``, and ``localizers.png``, the fullest part of a test
image with the points of those chosen by the last ``--radius``. ::

    python tools/analysis_tools/compare_localizers.py mmcrowd::pml_efficientnet_lite0_shb_cpu \\
        CHECKPOINT --out-dir work_dirs/localizers_shb

Without ``--candidates`` they are those for a density, ``BlockMaximum`` with that one as its only
scale; ``ProposalThreshold``, ``SigmoidThreshold`` and ``ScaleBoxNMS`` need outputs of their own
networks. The file of ``--candidates`` is a config with a list of that name; ``grid`` has arguments
with several values::

    candidates = [dict(type='LocalMaximum', grid=dict(threshold=[0.05, 0.1], blur=[0.0, 2.0]))]
"""

import argparse
from pathlib import Path

import cv2
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint

from mmcrowd import command_line
from mmcrowd.analysis.localizer_comparison import (
    CANDIDATES,
    best_settings,
    draw_localizers,
    expand,
    score_localizers,
    score_table,
)
from mmcrowd.engine.config import read_config, set_data_root
from mmcrowd.fileio.files import write_atomic
from mmcrowd.registry import DATASETS, MODELS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Score localizers on one checkpoint')
    parser.add_argument('config', help='config with val_dataloader and test_dataloader')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out-dir', required=True, help='folder of the tables and the picture')
    parser.add_argument('--candidates', help='config with a list "candidates"')
    parser.add_argument(
        '--radii', type=float, nargs='+', default=[4, 8], help='in pixels; default: 4 8'
    )
    parser.add_argument(
        '--radius',
        type=float,
        nargs='+',
        help='those of them by whose F1 settings are chosen; default: all',
    )
    parser.add_argument('--num-images', type=int, help='of each set, at most; default: all')
    parser.add_argument('--picture', type=int, default=0, help='place of the drawn test image')
    parser.add_argument('--data-root', help="folder of the data set, in place of the config's")
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='key=value overrides')
    args = parser.parse_args()
    args.radius = args.radius or args.radii
    for radius in args.radius:
        if radius not in args.radii:
            parser.error(f'--radius {radius:g} is none of --radii')
    return args


def main() -> None:
    args = parse_args()
    candidates = Config.fromfile(args.candidates).candidates if args.candidates else CANDIDATES
    cfg = read_config(args.config, args.cfg_options)
    if args.data_root:
        set_data_root(cfg, args.data_root)
    init_default_scope(cfg.get('default_scope', 'mmcrowd'))
    model = MODELS.build(cfg.model).eval()
    load_checkpoint(model, args.checkpoint, map_location='cpu', strict=True)

    keys = [f'F1@{radius:g}' for radius in args.radius]
    validation = DATASETS.build(cfg.val_dataloader.dataset)
    tried = score_localizers(model, validation, expand(candidates), args.radii, args.num_images)
    chosen, chosen_by = zip(*best_settings(tried, keys), strict=True)
    test = DATASETS.build(cfg.test_dataloader.dataset)
    tested = score_localizers(model, test, chosen, args.radii, args.num_images)

    out = Path(args.out_dir)
    tables = [
        'Test images, the settings of each type that are the best on the validation images:',
        score_table(tested, chosen_by),
        'Validation images, all settings:',
        score_table(sorted(tried, key=lambda score: -score.scores[keys[-1]])),
    ]
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / 'localizers.md', '\n\n'.join(tables) + '\n')
    drawn = [each for each, by in zip(chosen, chosen_by, strict=True) if keys[-1] in by]
    picture = draw_localizers(model, test, drawn, args.picture)
    write_atomic(out / 'localizers.png', cv2.imencode('.png', picture[..., ::-1])[1].tobytes())
    print(f'{tables[0]}\n\n{tables[1]}\n\nAll of them, and a picture: {out}')


if __name__ == '__main__':
    command_line.run(main)
