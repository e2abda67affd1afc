# The columns of Switch-CNN on grey levels; the switch is added by the stage that trains it.
model = dict(
    type='DensityCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor', to_gray=True, mean=[0.0], std=[1.0], pad_size_divisor=4
    ),
    backbone=dict(
        type='SwitchMCNN', in_channels=1, init_cfg=dict(type='Normal', layer='Conv2d', std=0.01)
    ),
    head=dict(type='SwitchHead', out_stride=4),
    inference=dict(type='GridInference', grid=(3, 3), stride=4),
)
