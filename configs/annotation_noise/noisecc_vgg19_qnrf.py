_base_ = ['../_base_/losses/noisecc.py', '../_base_/experiments/vgg19_qnrf_noise.py']

model = dict(loss=_base_.loss)
