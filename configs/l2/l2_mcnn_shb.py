_base_ = ['../_base_/losses/l2.py', '../_base_/experiments/mcnn_shb.py']

model = dict(loss=dict(_base_.loss, sigma=15.0))
