# PET's schedule: AdamW at a fixed 1e-4 (backbone and feature pyramid a tenth of it), weight decay
# 1e-4, and gradients of norm 0.1 at most.
max_epochs = 1500

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1), neck=dict(lr_mult=0.1))),
    clip_grad=dict(max_norm=0.1),
)

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=5)
val_cfg = dict()
test_cfg = dict()
