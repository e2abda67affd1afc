# The published program with its network and schedule.
_base_ = [
    '../_base_/losses/bl.py',
    '../_base_/experiments/bl_vgg19_shb.py',
    '../_base_/schedules/adam_1000e_constant.py',
]

model = dict(loss=_base_.loss)
