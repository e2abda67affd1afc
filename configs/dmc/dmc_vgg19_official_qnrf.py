# The published program with its network and schedule: a ReLU at the end, batches of ten.
_base_ = [
    '../_base_/losses/dmc.py',
    '../_base_/experiments/bl_vgg19_qnrf.py',
    '../_base_/schedules/adam_1000e_constant.py',
]

model = dict(head=dict(activation='relu'), loss=_base_.loss)
train_dataloader = dict(batch_size=10)
train_cfg = dict(val_begin=50)
