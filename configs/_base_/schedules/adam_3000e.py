# The authors' schedule: Adam 3e-5 (the backbone half of it), weight decay 1e-4, linear warm-up over
# 1 % of the epochs from a thousandth, then exponential decay, epoch by epoch, to 2e-5.
max_epochs = 3000
warmup_epochs = 30

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=3e-5, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.5))),
)
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
