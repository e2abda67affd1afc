_base_ = [
    '_base_/models/csrnet.py',
    '_base_/datasets/jhu.py',
    '_base_/schedules/adam_3000e.py',
    '_base_/default_runtime.py',
]

model = dict(loss=dict(type='PMLLoss', cost='clamped', epsilon=1.0))

# The density of this model is coarser than that of the others.
train_pipeline = _base_.train_pipeline
train_pipeline[-2].stride = 8
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

# Only the pretrained front end learns at half the rate.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'backbone.back_end': dict(lr_mult=1.0)}))
