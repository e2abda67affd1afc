_base_ = ['../_base_/losses/gcfl.py', '../_base_/experiments/vgg19_jhu.py']

model = dict(loss=_base_.loss)
