# The C-3-Framework's schedule for SFCN: Adam, weight decay 1e-4, a rate of 1e-5 that falls by half
# a per cent in every epoch; it keeps the model with the smallest MAE.
max_epochs = 200

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-5, weight_decay=1e-4))
param_scheduler = [dict(type='ExponentialLR', gamma=0.995, begin=0, end=max_epochs)]

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_begin=50, val_interval=1)
val_cfg = dict()
test_cfg = dict()
