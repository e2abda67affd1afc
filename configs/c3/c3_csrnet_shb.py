_base_ = [
    '../_base_/models/c3_csrnet.py',
    '../_base_/experiments/c3_shb.py',
    '../_base_/schedules/adam_200e_decay.py',
]

model = dict(data_preprocessor=dict(mean=_base_.mean, std=_base_.std))
