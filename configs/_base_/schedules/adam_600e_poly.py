# IIM's schedule: Adam that falls to 0 in every iteration, the threshold a tenth as fast and without
# weight decay.
max_epochs = 600

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-5, weight_decay=1e-5),
    paramwise_cfg=dict(custom_keys={'head.threshold': dict(lr_mult=0.1, decay_mult=0.0)}),
)
param_scheduler = [
    dict(type='PolyLR', power=0.9, begin=0, end=max_epochs, convert_to_iter_based=True)
]

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_begin=20, val_interval=4)
val_cfg = dict()
test_cfg = dict()
