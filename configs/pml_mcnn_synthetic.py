# The demo: a small counter from scratch on drawn crowds, in a few minutes on two CPU cores.
_base_ = [
    '_base_/models/mcnn.py',
    '_base_/datasets/synthetic.py',
    '_base_/schedules/cpu_5min.py',
    '_base_/default_runtime.py',
]

model = dict(
    # Normalised, MCNN learns from scratch in minutes rather than hours.
    backbone=dict(norm_cfg=dict(type='BN')),
    loss=dict(type='PMLLoss', cost='clamped', epsilon=1.0, norm='kl'),
)

# The density of this model is coarser than that of the others.
train_pipeline = _base_.train_pipeline
train_pipeline[-2].stride = 4
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

default_hooks = dict(logger=dict(interval=5))
