_base_ = [
    '../_base_/models/lsc_cnn_vgg16.py',
    '../_base_/datasets/ucf_cc_50.py',
    '../_base_/schedules/sgd_30e_constant.py',
    '../_base_/default_runtime.py',
]

# The class weights are those of ShanghaiTech. For this data set
# tools/misc/box_class_weights.py configs/lsc_cnn/lsc_cnn_vgg16_ucf_cc_50.py
# counts them anew; on ten of its images the ratios are the same. The threshold of the overlap is
# that of ShanghaiTech A, too.

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

default_hooks = dict(checkpoint=dict(interval=1, save_best='count/MAE'))
