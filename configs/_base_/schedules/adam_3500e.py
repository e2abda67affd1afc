# P2PNet's schedule: Adam at a fixed 1e-4 (the backbone a tenth of it) without weight decay, and
# gradients of norm 0.1 at most.
max_epochs = 3500

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-4),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
    clip_grad=dict(max_norm=0.1),
)

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=5)
val_cfg = dict()
test_cfg = dict()
