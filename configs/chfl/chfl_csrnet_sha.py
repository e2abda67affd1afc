_base_ = ['../_base_/losses/chfl.py', '../_base_/experiments/csrnet_sha.py']

model = dict(loss=dict(_base_.loss, form='dense'))
