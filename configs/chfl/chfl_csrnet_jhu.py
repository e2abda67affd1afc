_base_ = ['../_base_/losses/chfl.py', '../_base_/experiments/csrnet_jhu.py']

model = dict(loss=_base_.loss)
