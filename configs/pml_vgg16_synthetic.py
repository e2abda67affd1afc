# From nothing to a counter in a few minutes on a laptop: VGG-16 with batch normalisation, from
# scratch, on drawn crowds.
_base_ = [
    '_base_/models/vgg16bn.py',
    '_base_/datasets/synthetic.py',
    '_base_/schedules/cpu_5min.py',
    '_base_/default_runtime.py',
]

model = dict(
    # Drawn heads are small and simple: the stages of stride 4 and 8 are enough.
    backbone=dict(out_stages=(2, 3), init_cfg=None),
    neck=dict(in_channels=[256, 512], out_channels=128),
    head=dict(in_channels=128, mid_channels=(64,), in_stride=4),
    loss=dict(type='PMLLoss', cost='clamped', epsilon=1.0),
    precision='bf16',
)

default_hooks = dict(logger=dict(interval=5))
