# The schedule of MUD-ikNN: Adam at a fixed 1e-4. The program goes by steps, a hundred thousand of
# 40 patches, 6 of which see each training image of ShanghaiTech A once.
max_epochs = 16000

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4))

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_begin=1, val_interval=100)
val_cfg = dict()
test_cfg = dict()
