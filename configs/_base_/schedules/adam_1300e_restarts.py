# ZIP's schedule: Adam, weight decay 1e-4, a warm-up of 25 epochs from 1e-5 to 1e-4 (linear here,
# logarithmic there), then cosines down to 1e-6 over 5, 10, 20 ... 640 epochs.
max_epochs = 1300
warmup_epochs = 25

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, weight_decay=1e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=warmup_epochs),
    dict(
        type='CosineRestartLR',
        periods=[5 * 2**i for i in range(8)],
        restart_weights=[1] * 8,
        eta_min=1e-6,
        begin=warmup_epochs,
        end=max_epochs,
    ),
]

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_begin=100, val_interval=1)
val_cfg = dict()
test_cfg = dict()
