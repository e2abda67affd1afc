_base_ = ['../_base_/losses/noisecc.py', '../_base_/experiments/mcnn_shb.py']

model = dict(loss=_base_.loss)
