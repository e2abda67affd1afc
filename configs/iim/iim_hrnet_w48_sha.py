_base_ = ['../_base_/models/iim_hrnet_w48.py', '../_base_/experiments/iim_sha.py']

model = dict(data_preprocessor=_base_.pixels)

max_epochs = 2000
param_scheduler = [dict(_base_.param_scheduler[0], end=max_epochs)]
train_cfg = dict(max_epochs=max_epochs)
