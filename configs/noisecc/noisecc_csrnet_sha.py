_base_ = ['../_base_/losses/noisecc.py', '../_base_/experiments/csrnet_sha.py']

model = dict(loss=_base_.loss)
