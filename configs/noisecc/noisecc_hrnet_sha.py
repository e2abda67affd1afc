_base_ = ['../_base_/losses/noisecc.py', '../_base_/experiments/hrnet_sha.py']

model = dict(loss=_base_.loss)
