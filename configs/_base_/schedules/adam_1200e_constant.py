# The schedule of the published program of MAN: Adam at a fixed 5e-6, weight decay 1e-5; it keeps
# the model with the smallest 2 * RMSE + MAE.
max_epochs = 1200

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=5e-6, weight_decay=1e-5))

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_begin=600, val_interval=5)
val_cfg = dict()
test_cfg = dict()
