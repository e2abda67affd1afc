"""Small benchmarks in the layout and the file formats of the published ones."""

import json

import cv2
import numpy as np
from scipy.io import savemat

NWPU_LISTS = dict(train=('0001', '0002', '0004'), val=('0005', '0003'), test=('0006', '0007'))


def make_jhu(root, num_images=5, size=(40, 60)):
    """JHU-Crowd++: splits of images with 0, 1, 2, ... heads; ids are unique over the splits."""
    for s, split in enumerate(('train', 'val', 'test')):
        folder = root / split
        (folder / 'images').mkdir(parents=True)
        (folder / 'gt').mkdir()
        rows = []
        for k in range(num_images):
            img_id = f'{s * num_images + k + 1:04d}'
            cv2.imwrite(str(folder / 'images' / f'{img_id}.jpg'), np.full((*size, 3), k, np.uint8))
            heads = [f'{5 + 2 * i} {7 + i} {4 + i} {6} {1 + i % 3} {i % 2}\n' for i in range(k)]
            (folder / 'gt' / f'{img_id}.txt').write_text(''.join(heads))
            rows.append(f'{img_id},{k},railway station,{k % 4},{int(k == 0)}')
        (folder / 'image_labels.txt').write_text('\n'.join(rows) + '\n')
    return root


def make_nwpu(root, truth='jsons', parts=False, size=(40, 60)):
    """NWPU-Crowd: image k has k - 1 heads, each in a box of 6 by 8 pixels."""
    (root / truth).mkdir(parents=True)
    for name, ids in NWPU_LISTS.items():
        rows = [img_id if name == 'test' else f'{img_id} 2 {img_id[-1]}' for img_id in ids]
        (root / f'{name}.txt').write_text('\n'.join(rows) + '\n')
        for img_id in ids:
            folder = root / (f'images_part{int(img_id) % 5 + 1}' if parts else 'images')
            folder.mkdir(exist_ok=True)
            cv2.imwrite(str(folder / f'{img_id}.jpg'), np.zeros((*size, 3), np.uint8))
            if name == 'test':
                continue
            points = np.array([[10.5 + i, 20] for i in range(int(img_id) - 1)]).reshape(-1, 2)
            boxes = np.concatenate([points - (3, 4), points + (3, 4)], axis=1)
            if truth == 'mats':
                savemat(root / truth / f'{img_id}.mat', dict(annPoints=points, annBoxes=boxes))
            else:
                write_nwpu_json(root, img_id, points.tolist(), boxes.tolist())
    return root


def write_nwpu_json(root, img_id, points, boxes, **extra):
    """Write the truth of one image as NWPU-Crowd does."""
    content = dict(img_id=f'{img_id}.jpg', human_num=len(points), points=points, boxes=boxes)
    (root / 'jsons' / f'{img_id}.json').write_text(json.dumps({**content, **extra}))


def save_truth(path, points):
    """Write points in the nesting of the files of ShanghaiTech."""
    inner = np.zeros((1, 1), dtype=[('location', 'O'), ('number', 'O')])
    inner[0, 0] = (points, len(points))
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = inner
    savemat(path, dict(image_info=cell))


def make_part(root, num_images=20, truth_folder='ground-truth', size=(30, 40)):
    """Part of ShanghaiTech: image k of either split has k heads, all in one place."""
    for split in ('train_data', 'test_data'):
        (root / split / 'images').mkdir(parents=True)
        (root / split / truth_folder).mkdir()
        for k in range(1, num_images + 1):
            img = np.full((*size, 3), k, np.uint8)
            cv2.imwrite(str(root / split / 'images' / f'IMG_{k}.jpg'), img)
            save_truth(root / split / truth_folder / f'GT_IMG_{k}.mat', np.full((k, 2), 3.0))
    return root


def make_cc50(root, num_images=50, size=(20, 30)):
    """UCF-CC-50: image k is grey and has k heads, all in one place."""
    root.mkdir(parents=True, exist_ok=True)
    for k in range(1, num_images + 1):
        cv2.imwrite(str(root / f'{k}.jpg'), np.full(size, k, np.uint8))
        savemat(root / f'{k}_ann.mat', dict(annPoints=np.full((k, 2), 3.0)))
    return root


def make_qnrf(root, num_images=10, size=(40, 60)):
    """UCF-QNRF: noise, image k of either split with k heads in it."""
    rng = np.random.default_rng(0)
    for split in ('Train', 'Test'):
        (root / split).mkdir(parents=True)
        for k in range(1, num_images + 1):
            img = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            cv2.imwrite(str(root / split / f'img_{k:04d}.jpg'), img)
            points = rng.uniform(0, (size[1] - 1, size[0] - 1), (k, 2))
            savemat(root / split / f'img_{k:04d}_ann.mat', dict(annPoints=points))
    return root


def entries(dataset):
    """What the dataset knows of each image."""
    return [dataset.get_data_info(i) for i in range(len(dataset))]
