"""``mmcrowd export``: a model for ONNX Runtime or ``torch.export``, checked."""

import argparse
import tempfile
from pathlib import Path

from mmcrowd.apis import CrowdInferencer
from mmcrowd.apis.agreement import compare, require_agreement
from mmcrowd.apis.export import export_onnx, export_program, resizing_of
from mmcrowd.apis.inferencer import EXPORTED
from mmcrowd.apis.quantization import calibration_crops, quantize_onnx
from mmcrowd.fileio.files import write_atomic
from mmcrowd.models.localizers.local_maximum import PEAK_THRESHOLD

from .arguments import add_model

HELP = 'write a model as ONNX or torch.export file, and compare it with the model'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('out', help='file to write: NAME.onnx, or NAME.pt2 for torch.export')
    add_model(parser)
    parser.add_argument(
        '--peaks',
        nargs='?',
        type=float,
        const=PEAK_THRESHOLD,
        metavar='THRESHOLD',
        help='local maxima of at least so many persons per cell as second output; default of the '
        'threshold: %(const)s',
    )
    parser.add_argument(
        '--int8',
        nargs='+',
        metavar='PHOTO',
        help='write NAME_int8.onnx, too; its ranges are those of crops of these photos (files, '
        'folders or patterns), which should be like those that are to be counted',
    )
    parser.add_argument(
        '--crops', type=int, default=100, help='crops for --int8; default: %(default)s'
    )
    parser.add_argument(
        '--crop-size', type=int, default=512, help='their sides in pixels; default: %(default)s'
    )


def run(args: argparse.Namespace) -> None:
    path = Path(args.out)
    if path.suffix not in ('.onnx', '.pt2'):
        raise ValueError(f'{path}: expected a name that ends in .onnx or .pt2')
    if args.int8 and path.suffix != '.onnx':
        raise ValueError(f'{path}: --int8 quantizes ONNX files, expected a name that ends in .onnx')
    if args.weights and args.weights.endswith(EXPORTED):
        raise ValueError(f'--weights {args.weights}: exported already, expected a checkpoint')
    # Before anything is exported, so that photos that are not there are told at once.
    crops = calibration_crops(args.int8, args.crops, args.crop_size) if args.int8 else None
    inferencer = CrowdInferencer(
        args.model,
        args.weights,
        device='cpu',
        show_progress=False,
        cfg_options=args.cfg_options,
    )
    counter, entry = inferencer.model, inferencer.weights_entry
    name = inferencer.weights_name if entry is None else entry.name
    resize = resizing_of(inferencer.pipeline.transforms)
    write = export_program if path.suffix == '.pt2' else export_onnx
    # A file that does not answer as its model is never seen under its name.
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder, path.name)
        write(counter, draft, name, args.peaks, resize)
        agreement = compare(counter, draft)
        require_agreement(agreement, path)
        write_atomic(path, draft.read_bytes())
    print(f'{path}: {size(path)}; {agreement}')
    if crops is not None:
        quantized = path.with_name(f'{path.stem}_int8.onnx')
        quantize_onnx(counter, path, quantized, crops)
        others = calibration_crops(args.int8, min(args.crops, 10), args.crop_size, seed=1)
        print(f'{quantized}: {size(quantized)}; {compare(counter, quantized, others)}')


def size(path: Path) -> str:
    return f'{path.stat().st_size / 1e6:.1f} MB'
