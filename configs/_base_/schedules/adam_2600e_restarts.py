# The schedule of CLIP-EBC's program: Adam, weight decay 1e-4, a linear warm-up of 50 epochs from
# 1e-6 to 1e-4, then cosines down to 1e-7 over 5, 10, 20 ... 1280 epochs; the last is cut off.
max_epochs = 2600
warmup_epochs = 50

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, weight_decay=1e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=warmup_epochs),
    dict(
        type='CosineRestartLR',
        periods=[5 * 2**i for i in range(9)],
        restart_weights=[1] * 9,
        eta_min=1e-7,
        begin=warmup_epochs,
        end=max_epochs,
    ),
]

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_begin=50, val_interval=1)
val_cfg = dict()
test_cfg = dict()
