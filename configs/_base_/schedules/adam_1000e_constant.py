# The schedule of the published programs of the Bayesian loss and DM-Count: Adam at a fixed 1e-5,
# weight decay 1e-4; they keep the model with the smallest 2 * RMSE + MAE. As it stands it is that
# of the Bayesian loss, which validates from epoch 600 on.
max_epochs = 1000

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-5, weight_decay=1e-4))

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_begin=600, val_interval=5)
val_cfg = dict()
test_cfg = dict()
