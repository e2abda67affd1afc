_base_ = 'zip_n_shb.py'

model = dict(backbone=dict(model_name='mobilenetv4_conv_small_050'), neck=dict(in_channels=480))
