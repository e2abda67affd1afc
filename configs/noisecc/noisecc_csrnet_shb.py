_base_ = ['../_base_/losses/noisecc.py', '../_base_/experiments/csrnet_shb.py']

model = dict(loss=_base_.loss)
