_base_ = [
    '_base_/models/hrnet_w48.py',
    '_base_/datasets/nwpu.py',
    '_base_/schedules/adam_3000e.py',
    '_base_/default_runtime.py',
]

model = dict(loss=dict(type='PMLLoss', cost='clamped', epsilon=1.0))
