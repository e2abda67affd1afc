_base_ = ['../_base_/losses/chfl.py', '../_base_/experiments/csrnet_qnrf.py']

model = dict(loss=dict(_base_.loss, form='dense'))
