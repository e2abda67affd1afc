# MCNN from scratch in twenty minutes on one CPU core, for comparisons of losses.
_base_ = [
    '_base_/losses/pml.py',
    '_base_/models/mcnn.py',
    '_base_/datasets/shb.py',
    '_base_/schedules/cpu_1h.py',
    '_base_/default_runtime.py',
]

# Without normalisation, or with a ReLU at the end, some losses soon leave no density anywhere, and
# no gradient to bring it back.
model = dict(
    backbone=dict(norm_cfg=dict(type='BN')),
    head=dict(activation='softplus'),
    loss=_base_.loss,
    precision='auto',
)

train_pipeline = _base_.train_pipeline
train_pipeline[1].crop_size = 256
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(pipeline=train_pipeline, partition_stride=_base_.model.head.out_stride),
)

test_pipeline = _base_.test_pipeline
test_pipeline.insert(-1, dict(type='ResizeToMultiple', divisor=4))
val_dataloader = dict(num_workers=0, persistent_workers=False)
val_dataloader.update(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(num_workers=0, dataset=dict(pipeline=test_pipeline))

# 50 epochs of 90 steps; nothing is pretrained, so nothing learns at half the rate.
max_epochs = 50
optim_wrapper = dict(optimizer=dict(lr=1e-3), paramwise_cfg=None)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=60, by_epoch=False),
    dict(type='CosineAnnealingLR', T_max=max_epochs, end=max_epochs, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=10)
