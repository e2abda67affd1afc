# Patches of the size of a ninth of an image.
_base_ = 'shb.py'

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
