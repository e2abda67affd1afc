# Of the authors' program for NWPU-Crowd, which interpolates where the C-3-Framework repeats, and
# tests in tiles of the size of its crops.
_base_ = [
    '../_base_/models/sfcn_resnet101.py',
    '../_base_/experiments/c3_nwpu.py',
    '../_base_/schedules/adam_200e_decay.py',
]

model = dict(
    data_preprocessor=dict(mean=_base_.mean, std=_base_.std),
    head=dict(upsample='bilinear'),
    inference=dict(type='OverlapInference', crop_size=(576, 768)),
)
max_epochs = 500
param_scheduler = [dict(type='ExponentialLR', gamma=0.995, begin=0, end=max_epochs)]
train_cfg = dict(max_epochs=max_epochs)
