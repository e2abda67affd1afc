"""Small networks of every backbone, and the truth that they train on."""

import torch
from mmengine.structures import InstanceData, PixelData

from mmcrowd.ops.partition import nearest_point_partition
from mmcrowd.structures import CrowdDataSample

BACKBONES = {
    'vgg': dict(
        backbone=dict(type='VGGFeatures', depth=11),
        neck=dict(type='TopDownFusion', in_channels=[512, 512], out_channels=16),
        head=dict(type='DensityHead', in_channels=16, mid_channels=(8,)),
    ),
    'hrnet': dict(
        backbone=dict(type='mmpretrain.HRNet', arch='w18'),
        neck=dict(type='TopDownFusion', in_channels=[18, 36], out_channels=16),
        head=dict(type='DensityHead', in_channels=16, mid_channels=(8,), in_stride=4),
    ),
    'mcnn': dict(
        data_preprocessor=dict(type='CrowdDataPreprocessor', to_gray=True, mean=[0], std=[255]),
        backbone=dict(type='MCNN'),
        head=dict(type='DensityHead', in_channels=30, mid_channels=(), in_stride=4, out_stride=4),
    ),
    'csrnet': dict(
        backbone=dict(type='CSRNet'),
        head=dict(type='DensityHead', in_channels=64, mid_channels=(), in_stride=8, out_stride=8),
    ),
}

# Small counters of every kind.
COUNTERS = {
    name: dict(type='DensityCounter', loss=dict(type='PMLLoss'), **network)
    for name, network in BACKBONES.items()
} | {
    'fidtm': dict(
        type='DensityCounter',
        backbone=dict(type='HRNetBilinear', arch='w18'),
        neck=dict(type='ResizeConcat'),
        head=dict(type='MapHead', in_channels=18 + 36 + 72 + 144, mid_channels=[8], in_stride=4),
        loss=dict(type='FIDTMLoss', source='map'),
        localizer=dict(type='LocalMaximum', mode='adaptive', floor=0.0, source='map'),
        count_from='points',
    ),
    'p2pnet': dict(
        type='PointCounter',
        backbone=dict(type='VGGFeatures', depth=11),
        neck=dict(type='TopDownFusion', in_channels=[512, 512], out_channels=16),
        head=dict(type='PointHead', in_channels=16, mid_channels=(16, 16), in_stride=8),
        loss=dict(type='P2PLoss'),
    ),
    'sfcn': dict(
        type='DensityCounter',
        backbone=dict(
            type='mmpretrain.ResNet',
            depth=18,
            num_stages=3,
            strides=(1, 2, 1),
            dilations=(1, 1, 1),
            out_indices=(2,),
        ),
        neck=dict(type='SpatialEncoder', in_channels=256, mid_channels=(16,)),
        head=dict(type='PerPixelHead', in_channels=16),
        loss=dict(type='GaussianMSELoss'),
    ),
    'ebc': dict(
        type='DensityCounter',
        backbone=dict(type='VGGFeatures', depth=11, out_stages=(4,)),
        head=dict(type='EBCHead', bin_centres=[0, 1, 2.5]),
        loss=dict(type='EBCLoss', bins=[0, 1, 2]),
    ),
    'man': dict(
        type='DensityCounter',
        backbone=dict(type='VGGFeatures', depth=11, out_stages=(4,)),
        neck=dict(type='RegionAttentionEncoder', num_layers=1, feedforward_channels=16),
        head=dict(
            type='DensityHead', in_channels=512, mid_channels=(8,), in_stride=16, out_stride=16
        ),
        loss=dict(type='LocalAttentionLoss', loss=dict(type='TopBayesianLoss')),
    ),
    'steerer': dict(
        type='DensityCounter',
        backbone=dict(type='HRNetBilinear', arch='w18', last_exchange=False),
        head=dict(
            type='STEERERHead', in_channels=(18, 36, 72, 144), channels=16, mid_channels=(8, 8, 8)
        ),
        loss=dict(type='MSILoss', patch=32),
        localizer=dict(type='BlockMaximum'),
    ),
    'zip': dict(
        type='DensityCounter',
        backbone=dict(type='VGGFeatures', depth=11, out_stages=(4,)),
        head=dict(type='ZIPHead', in_channels=512, bin_centres=[1, 2, 3.5]),
        loss=dict(type='ZIPLoss', bins=[0, 1, 2, 3]),
    ),
}

# Counters with attention, whose outputs are not tensors only.
TRANSFORMERS = {
    'pet': dict(
        type='PointCounter',
        data_preprocessor=dict(type='CrowdDataPreprocessor', pad_size_divisor=256),
        backbone=dict(type='EfficientNetLite0', out_indices=(2, 3, 4)),
        neck=dict(type='FeaturePyramid', in_channels=[24, 40, 112], out_channels=16, num_outs=2),
        head=dict(
            type='PETHead',
            in_channels=[16, 16],
            channels=16,
            num_heads=2,
            feedforward_channels=16,
            encoder_windows=[(8, 16)],
            num_decoder_layers=1,
        ),
        loss=dict(type='PETLoss'),
    ),
    'cltr': dict(
        type='PointCounter',
        backbone=dict(type='EfficientNetLite0', out_indices=(5,)),
        neck=dict(
            type='DETREncoder',
            in_channels=320,
            channels=16,
            num_layers=1,
            num_heads=2,
            feedforward_channels=16,
        ),
        head=dict(
            type='CLTRHead',
            channels=16,
            num_queries=20,
            num_layers=2,
            num_heads=2,
            feedforward_channels=16,
        ),
        loss=dict(type='CLTRLoss'),
        localizer=dict(type='SigmoidThreshold'),
        inference=dict(type='TileInference'),
    ),
}


def make_sample(points, shape, stride=None, **metainfo):
    """Truth of an image of this shape; with a stride, the partition of its cells too."""
    points = torch.as_tensor(points, dtype=torch.float32).reshape(-1, 2)
    sample = CrowdDataSample(metainfo=dict(img_shape=shape, **metainfo))
    sample.gt_instances = InstanceData(points=points)
    sample.gt_count = len(points)
    if stride:
        size = (shape[0] // stride, shape[1] // stride)
        index, distance = nearest_point_partition(points, size, stride)
        sample.gt_partition = PixelData(index=index[None], distance=distance[None])
    return sample
