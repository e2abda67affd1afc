# The schedule of RAZ_loc in the sample code of NWPU-Crowd: Adam at a fixed 1e-5, weight decay 1e-4.
max_epochs = 2000

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-5, weight_decay=1e-4))

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_begin=1, val_interval=5)
val_cfg = dict()
test_cfg = dict()
