# SFCN on ResNet-101 (Wang et al., CVPR 2019), as the C-3-Framework has it: 38.6 M numbers. Mean and
# deviation are ImageNet's; the experiments of the C-3-Framework have those of each data set.
model = dict(
    type='DensityCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=8,
    ),
    backbone=dict(
        type='mmpretrain.ResNet',
        depth=101,
        num_stages=3,
        strides=(1, 2, 1),  # the third stage keeps stride 8
        dilations=(1, 1, 1),
        out_indices=(2,),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/'
            'resnet101_8xb32_in1k_20210831-539c63f8.pth',
            prefix='backbone.',
        ),
    ),
    neck=dict(type='SpatialEncoder', in_channels=1024),
    # Every pixel of a cell has the same density; 8 has the density of the cell.
    head=dict(type='PerPixelHead', in_channels=64, in_stride=8, out_stride=1),
    loss=dict(type='GaussianMSELoss'),
)
