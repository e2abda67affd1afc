_base_ = [
    '_base_/models/hrnet_w18.py',
    '_base_/datasets/shb.py',
    '_base_/schedules/adam_3000e.py',
    '_base_/default_runtime.py',
]

model = dict(loss=dict(type='PMLLoss', cost='clamped', epsilon=1.0))
