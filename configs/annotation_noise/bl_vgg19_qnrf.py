_base_ = ['../_base_/losses/bl.py', '../_base_/experiments/vgg19_qnrf_noise.py']

model = dict(loss=dict(_base_.loss, background_ratio=0.15))
