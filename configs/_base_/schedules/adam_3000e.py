# The authors' schedule: Adam 3e-5, weight decay 1e-4, linear warm-up over 1 % of the epochs from a
# thousandth, then exponential decay to 2e-5, epoch by epoch here, iteration by iteration there.
#
# One rate for all, as in the runs that gave the published numbers. Their program means to train the
# backbone at half the rate, but looks for "encoders" in the names of parameters that begin with
# "encoder.". The rate as meant:
# --cfg-options optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult=0.5
max_epochs = 3000
warmup_epochs = 30

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=3e-5, weight_decay=1e-4))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-3,
        begin=0,
        end=warmup_epochs,
        convert_to_iter_based=True,
    ),
    dict(
        type='ExponentialLR',
        gamma=(2e-5 / 3e-5) ** (1 / (max_epochs - warmup_epochs)),
        begin=warmup_epochs,
        end=max_epochs,
    ),
]

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=5)
val_cfg = dict()
test_cfg = dict()
