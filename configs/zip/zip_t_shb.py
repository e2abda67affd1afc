_base_ = 'zip_n_shb.py'

model = dict(backbone=dict(model_name='mobilenetv4_conv_medium'), neck=dict(block='double'))
