# CLTR's schedule: Adam at 1e-4 for all parameters, a tenth of it from epoch 1200 on, weight decay
# 5e-4.
max_epochs = 1500

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, weight_decay=5e-4))
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, milestones=[1200], gamma=0.1)]

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=20)
val_cfg = dict()
test_cfg = dict()
