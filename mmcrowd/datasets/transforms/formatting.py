import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import InstanceData, PixelData

from mmcrowd.registry import TRANSFORMS
from mmcrowd.structures import CrowdDataSample
from mmcrowd.structures.point_fields import POINT_FIELDS


@TRANSFORMS.register_module()
class PackCrowdInputs(BaseTransform):
    """Pack a pipeline's results into ``inputs`` and ``data_samples``.

    ``inputs`` is the image as uint8 ``(3, H, W)``, BGR, not normalised; ``data_samples`` a
    :class:`~mmcrowd.structures.CrowdDataSample` with ``gt_instances`` (the ``POINT_FIELDS`` that
    there are), ``gt_count``, ``gt_original`` (see :class:`LoadCrowdImage`) and, if
    :class:`PartitionByNearestPoint` has run, ``gt_partition``. Targets for each cell of the network
    that another transform has made, the arrays ``(1, h, w)`` of the dict ``gt_maps``, become its
    ``gt_maps``; all must have one size.
    Without ``points`` (an unlabelled image) there is no ground truth in the sample.

    Args:
        meta_keys: Keys kept as meta information, if the results have them.

    Examples:
        >>> from mmcrowd.datasets.transforms import LoadCrowdImage
        >>> results = dict(img=np.zeros((4, 6, 3), np.uint8), points=np.float32([[1, 2]]))
        >>> packed = PackCrowdInputs()(LoadCrowdImage()(results))
        >>> packed['inputs'].shape, packed['data_samples'].gt_count
        (torch.Size([3, 4, 6]), 1)
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
        img = np.ascontiguousarray(np.asarray(results['img']).transpose(2, 0, 1))
        sample = CrowdDataSample(
            metainfo={key: results[key] for key in self.meta_keys if key in results}
        )
        if 'points' in results:
            sample.gt_instances = InstanceData(
                **{key: torch.from_numpy(results[key]) for key in POINT_FIELDS if key in results}
            )
            sample.gt_count = len(results['points'])
        if 'gt_original' in results:
            sample.gt_original = InstanceData(**results['gt_original'])
        if 'gt_partition' in results:
            sample.gt_partition = PixelData(
                **{key: torch.from_numpy(v)[None] for key, v in results['gt_partition'].items()}
            )
        if 'gt_maps' in results:
            sample.gt_maps = PixelData(
                **{key: torch.as_tensor(v) for key, v in results['gt_maps'].items()}
            )
        return dict(inputs=torch.from_numpy(img), data_samples=sample)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys})'
