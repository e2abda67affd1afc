_base_ = ['../_base_/losses/l2.py', '../_base_/experiments/mcnn_jhu.py']

model = dict(loss=_base_.loss)
