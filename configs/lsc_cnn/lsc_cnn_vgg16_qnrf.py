_base_ = [
    '../_base_/models/lsc_cnn_vgg16.py',
    '../_base_/datasets/qnrf.py',
    '../_base_/schedules/sgd_30e_constant.py',
    '../_base_/default_runtime.py',
]

# The class weights are those of ShanghaiTech. For this data set
# tools/misc/box_class_weights.py configs/lsc_cnn/lsc_cnn_vgg16_qnrf.py
# counts them anew.
model = dict(localizer=dict(overlap=0.2))

train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    dict(type='ResizeToLimits', longest=1536),
    dict(type='RandomScaleCrop', crop_size=224, scale_range=(1.0, 1.0)),
    dict(type='RandomFlip'),
    dict(type='BoxKinds'),
    dict(type='PackCrowdInputs'),
]
# Thirty crops of each image in an epoch.
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        _delete_=True,
        type='RepeatDataset',
        times=30,
        dataset=dict(_base_.train_dataloader.dataset, pipeline=train_pipeline),
    ),
)

max_epochs = 50
train_cfg = dict(max_epochs=max_epochs)
val_evaluator = [dict(type='CountMetric'), dict(type='LocalizationMetric', radii='qnrf')]
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(interval=1, save_best='count/MAE'))
