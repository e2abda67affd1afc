_base_ = ['_base_/losses/pml.py', '_base_/experiments/hrnet_w40_sha.py']

model = dict(loss=_base_.loss)
