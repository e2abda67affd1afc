# Stage 2 of Switch-CNN: each patch is learnt by the column that counts it best.
_base_ = 'switch_cnn_pretrain.py'

model = dict(loss=dict(type='SwitchDifferentialLoss'))
optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=1e-6, momentum=0.9))
