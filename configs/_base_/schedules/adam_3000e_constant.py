# FIDTM's schedule: Adam at a fixed 1e-4, weight decay 5e-4.
max_epochs = 3000

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, weight_decay=5e-4))

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_begin=200, val_interval=10)
val_cfg = dict()
test_cfg = dict()
