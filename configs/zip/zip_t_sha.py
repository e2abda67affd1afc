_base_ = 'zip_n_sha.py'

model = dict(backbone=dict(model_name='mobilenetv4_conv_medium'), neck=dict(block='double'))
