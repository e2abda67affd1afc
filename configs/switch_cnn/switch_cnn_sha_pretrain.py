# Stage 1: every column learns from every patch. The published program has no such stage, only its
# result; optimizer and length are ours.
_base_ = [
    '../_base_/models/switch_cnn.py',
    '../_base_/datasets/sha.py',
    '../_base_/default_runtime.py',
]

model = dict(loss=dict(type='SwitchPretrainLoss'))

# Patches of the size of a ninth of most images.
train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='RandomScaleCrop', crop_size=(256, 340), scale_range=(1.0, 1.0)),
    dict(type='PackCrowdInputs'),
]
# As many patches an epoch as nine of each image.
train_dataloader = dict(
    batch_size=1,
    dataset=dict(
        _delete_=True,
        type='RepeatDataset',
        times=9,
        dataset=dict(_base_.train_dataloader.dataset, pipeline=train_pipeline),
    ),
)

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-5))
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=5)
val_cfg = dict()
test_cfg = dict()
# A column that is chosen for no patch of a batch has no gradient.
find_unused_parameters = True
