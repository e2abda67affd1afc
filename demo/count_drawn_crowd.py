"""Draw a crowd, count it with the model that comes with the package, and write what was found.

python demo/count_drawn_crowd.py work_dirs/demo
"""

import sys
import time
from pathlib import Path

import cv2

from mmcrowd import CrowdInferencer
from mmcrowd.datasets import SyntheticCrowdDataset


def main(folder: str) -> None:
    scene = SyntheticCrowdDataset(num_images=2, split='test', img_size=(640, 480)).get_data_info(1)
    photo, out = Path(folder) / 'crowd.png', Path(folder) / 'counted'
    photo.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(photo), scene['img'])
    start = time.perf_counter()
    counter = CrowdInferencer()
    (prediction,) = counter(photo, vis_out_dir=out, pred_out_dir=out)['predictions']
    print(
        f'{photo}: count {prediction["count"]:.1f} after {time.perf_counter() - start:.1f} s; '
        f'{len(scene["points"])} people were drawn\n'
        f'{out / "crowd.png"} has the heads marked, {out / "crowd.json"} the numbers'
    )


if __name__ == '__main__':
    main(*sys.argv[1:])
