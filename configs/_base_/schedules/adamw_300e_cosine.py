# The schedule of the published program of STEERER: AdamW without decay of biases and normalisation,
# a warm-up of 10 epochs from 5e-7, then a cosine down to 1e-7, step by step. As it stands it is
# that of ShanghaiTech B.
max_epochs = 300
lr = 1e-5

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=lr, weight_decay=1e-2),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=5e-7 / lr,
        begin=0,
        end=10,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-7,
        begin=10,
        end=max_epochs,
        T_max=max_epochs - 10,
        convert_to_iter_based=True,
    ),
]

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_begin=100, val_interval=5)
val_cfg = dict()
test_cfg = dict()
