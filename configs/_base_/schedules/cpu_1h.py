# An hour on two CPU cores: AdamW, a short warm-up, one cosine to zero, EMA of the weights.
max_epochs = 12

optim_wrapper = dict(
    type='OptimWrapper',
    # The first gradients are a hundred times the later ones: a short memory forgets them.
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.99), weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.5))),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=60, by_epoch=False),
    dict(type='CosineAnnealingLR', T_max=max_epochs, end=max_epochs, convert_to_iter_based=True),
]
# Averaged weights need averaged statistics of the normalisation, not those of the raw weights.
custom_hooks = [
    dict(
        type='EMAHook',
        ema_type='MomentumAnnealingEMA',
        momentum=0.005,
        gamma=20,
        update_buffers=True,
    ),
    # Batches of few crops: but for the first epoch, train with the statistics that a test uses.
    dict(type='FreezeNormHook', begin=1),
]

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=4)
val_cfg = dict()
test_cfg = dict()
