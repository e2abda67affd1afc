_base_ = ['../_base_/losses/gl.py', '../_base_/experiments/vgg19_qnrf.py']

model = dict(loss=_base_.loss)
