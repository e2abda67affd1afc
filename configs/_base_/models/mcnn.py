model = dict(
    type='DensityCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor', to_gray=True, mean=[0.0], std=[255.0], pad_size_divisor=4
    ),
    backbone=dict(type='MCNN', in_channels=1),
    head=dict(type='DensityHead', in_channels=30, mid_channels=(), in_stride=4, out_stride=4),
)
