# The schedule of D2CNet: Adam at a fixed 1e-5, weight decay 5e-3. An epoch of its program goes four
# times through the data, of which there are 400.
max_epochs = 1600

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-5, weight_decay=5e-3))

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_begin=1, val_interval=4)
val_cfg = dict()
test_cfg = dict()
