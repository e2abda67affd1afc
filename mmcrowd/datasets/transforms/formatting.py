import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import InstanceData, PixelData

from mmcrowd.registry import TRANSFORMS
from mmcrowd.structures import CrowdDataSample


@TRANSFORMS.register_module()
class PackCrowdInputs(BaseTransform):
    """Pack a pipeline's results into ``inputs`` and ``data_samples``.

    ``inputs`` is the image as uint8 ``(3, H, W)``, BGR, not normalised; ``data_samples`` a
    :class:`~mmcrowd.structures.CrowdDataSample` with ``gt_instances``, ``gt_count`` and, if
    :class:`PartitionByNearestPoint` has run, ``gt_partition``. Without ``points`` (an unlabelled
    image) there is no ground truth in the sample.

    Args:
        meta_keys: Keys kept as meta information, if the results have them.
    """

    DEFAULT_META_KEYS = (
        'img_id',
        'img_path',
        'ori_shape',
        'img_shape',
        'scale_factor',
        'crop_offset',
        'flip',
        'attributes',
    )

    def __init__(self, meta_keys=DEFAULT_META_KEYS):
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        img = np.ascontiguousarray(results['img'].transpose(2, 0, 1))
        sample = CrowdDataSample(
            metainfo={key: results[key] for key in self.meta_keys if key in results}
        )
        if 'points' in results:
            instances = InstanceData(points=torch.from_numpy(results['points']))
            for key in ('boxes', 'sigmas'):
                if key in results:
                    setattr(instances, key, torch.from_numpy(results[key]))
            sample.gt_instances = instances
            sample.gt_count = len(results['points'])
        if 'gt_partition' in results:
            sample.gt_partition = PixelData(
                **{key: torch.from_numpy(v)[None] for key, v in results['gt_partition'].items()}
            )
        return dict(inputs=torch.from_numpy(img), data_samples=sample)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys})'
