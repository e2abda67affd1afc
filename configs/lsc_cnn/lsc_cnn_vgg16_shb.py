_base_ = [
    '../_base_/models/lsc_cnn_vgg16.py',
    '../_base_/datasets/shb.py',
    '../_base_/schedules/sgd_30e_constant.py',
    '../_base_/default_runtime.py',
]

model = dict(localizer=dict(overlap=0.25))

train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    dict(type='RandomScaleCrop', crop_size=224, scale_range=(1.0, 1.0)),
    dict(type='RandomFlip'),
    dict(type='BoxKinds'),
    dict(type='PackCrowdInputs'),
]
# A hundred crops of each image in an epoch.
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        _delete_=True,
        type='RepeatDataset',
        times=100,
        dataset=dict(_base_.train_dataloader.dataset, pipeline=train_pipeline),
    ),
)

val_evaluator = [dict(type='CountMetric'), dict(type='LocalizationMetric', radii='shanghaitech')]
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(interval=1, save_best='count/MAE'))
