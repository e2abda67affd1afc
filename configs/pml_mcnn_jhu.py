_base_ = [
    '_base_/models/mcnn.py',
    '_base_/datasets/jhu.py',
    '_base_/schedules/adam_3000e.py',
    '_base_/default_runtime.py',
]

model = dict(loss=dict(type='PMLLoss', cost='clamped', epsilon=1.0))

# The density of this model is coarser than that of the others.
train_pipeline = _base_.train_pipeline
train_pipeline[-2].stride = 4
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

# Whole images are shrunk by up to three pixels a side, as the published weights were tested.
test_pipeline = _base_.test_pipeline
test_pipeline.insert(-1, dict(type='ResizeToMultiple', divisor=4))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

# Nothing is pretrained, so nothing learns at half the rate.
optim_wrapper = dict(paramwise_cfg=None)
