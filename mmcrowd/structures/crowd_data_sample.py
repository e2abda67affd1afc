from mmengine.structures import BaseDataElement, InstanceData, PixelData


def _typed_field(name: str, dtype: type) -> property:
    """A data field that refuses values of any other type than ``dtype``."""
    private = f'_{name}'

    def getter(self):
        return getattr(self, private)

    def setter(self, value):
        self.set_field(value, private, dtype=dtype)

    def deleter(self):
        delattr(self, private)

    return property(getter, setter, deleter)


class CrowdDataSample(BaseDataElement):
    """What the pipeline, a counter, a metric and a visualizer know of one image.

    Data fields (all optional):

    - ``gt_instances``: ``points`` float32 ``(m, 2)``, ``(x, y)`` in pixels of the input frame;
      where the benchmark gives them ``boxes`` ``(m, 4)`` xyxy, ``sigmas`` ``(m, 2)``, ``occlusion``
      and ``blur`` ``(m,)``, see :mod:`mmcrowd.structures.point_fields`.
    - ``gt_original``: the ``points``, ``boxes`` and ``sigmas`` of ``gt_instances`` as annotated,
      float64 arrays in the original frame, for what compares.
    - ``gt_count``: int, number of points.
    - ``gt_partition``: ``index`` int64 ``(1, h, w)`` and ``distance`` float32 ``(1, h, w)`` in
      input pixels, see :mod:`mmcrowd.ops.partition`.
    - ``gt_maps``: targets ``(1, h, w)`` for each cell that a transform has made, under the names
      that it gives them.
    - ``pred_density``: ``density`` float32 ``(1, h, w)``, persons per cell, of the un-padded area.
    - ``pred_instances``: ``points`` ``(k, 2)`` in the original frame and ``scores`` ``(k,)``.
    - ``pred_count``: float, by the rule of the counter: the sum of the density, or the number of
      the points.

    Meta information: ``img_id``, ``img_path``, ``ori_shape``, ``img_shape`` (before the batch is
    padded), ``pad_shape``, ``scale_factor``, ``crop_offset``, ``flip`` (see
    :mod:`mmcrowd.structures.frame`), ``attributes``, the benchmark's labels of the image, and
    ``density_stride``, the input pixels per cell of ``pred_density``.

    Examples:
        >>> import torch
        >>> from mmengine.structures import InstanceData
        >>> sample = CrowdDataSample(metainfo=dict(img_id='IMG_1', img_shape=(480, 640)))
        >>> sample.gt_instances = InstanceData(points=torch.tensor([[10.0, 20.0]]))
        >>> len(sample.gt_instances)
        1
    """

    gt_instances = _typed_field('gt_instances', InstanceData)
    gt_original = _typed_field('gt_original', InstanceData)
    gt_count = _typed_field('gt_count', int)
    gt_partition = _typed_field('gt_partition', PixelData)
    gt_maps = _typed_field('gt_maps', PixelData)
    pred_density = _typed_field('pred_density', PixelData)
    pred_instances = _typed_field('pred_instances', InstanceData)
    pred_count = _typed_field('pred_count', float)
