_base_ = [
    '_base_/models/vgg19.py',
    '_base_/datasets/jhu.py',
    '_base_/schedules/adam_3000e.py',
    '_base_/default_runtime.py',
]

model = dict(loss=dict(type='PMLLoss', cost='clamped', epsilon=1.0))
