_base_ = [
    '../_base_/models/c3_mcnn.py',
    '../_base_/experiments/c3_shb.py',
    '../_base_/schedules/adam_3000e_constant.py',
]

model = dict(data_preprocessor=dict(mean=_base_.mean, std=_base_.std))
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=1e-4))
train_dataloader = dict(batch_size=16)
