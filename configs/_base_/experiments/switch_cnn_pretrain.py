# Stage 1 of Switch-CNN: every column learns from every patch. The published program has no such
# stage, only its result; optimizer and length are ours. The data are the config's own.
_base_ = ['../models/switch_cnn.py', '../default_runtime.py']

model = dict(loss=dict(type='SwitchPretrainLoss'))

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-5))
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=5)
val_cfg = dict()
test_cfg = dict()
# A column that is chosen for no patch of a batch has no gradient.
find_unused_parameters = True
