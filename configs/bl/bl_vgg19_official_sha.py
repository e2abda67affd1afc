# The published program with its network, and the rate and background ratio that its README gives
# for this set. The size of the crop is recalled from the paper, not read in the program.
_base_ = [
    '../_base_/losses/bl.py',
    '../_base_/experiments/bl_vgg19_sha.py',
    '../_base_/schedules/adam_1000e_constant.py',
]

model = dict(loss=dict(_base_.loss, background_ratio=0.1))
optim_wrapper = dict(optimizer=dict(lr=1e-6))
