# Stage 2: each patch is learnt by the column that counts it best.
_base_ = 'switch_cnn_sha_pretrain.py'

model = dict(loss=dict(type='SwitchDifferentialLoss'))
optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=1e-6, momentum=0.9))
load_from = 'work_dirs/switch_cnn_sha_pretrain/epoch_100.pth'
