# The schedule of the published program of GL: Adam, weight decay 1e-5, a rate that rises by 1e-6 in
# each of the first ten epochs and stays at 1e-5.
max_epochs = 500

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-5, weight_decay=1e-5))
param_scheduler = [dict(type='LinearLR', start_factor=0.1, begin=0, end=10)]

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_begin=10, val_interval=5)
val_cfg = dict()
test_cfg = dict()
