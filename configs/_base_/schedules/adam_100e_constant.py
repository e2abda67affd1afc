# The schedule of TopoCount: Adam at a fixed 5e-5, without weight decay.
max_epochs = 100

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=5e-5))

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_begin=1, val_interval=1)
val_cfg = dict()
test_cfg = dict()
