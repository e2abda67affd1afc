_base_ = ['../_base_/models/iim_hrnet_w48.py', '../_base_/experiments/iim_qnrf.py']

model = dict(data_preprocessor=_base_.pixels)
