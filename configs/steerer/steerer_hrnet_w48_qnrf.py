_base_ = [
    '../_base_/models/steerer_hrnet_w48.py',
    '../_base_/datasets/qnrf.py',
    '../_base_/schedules/adamw_300e_cosine.py',
    '../_base_/default_runtime.py',
]

model = dict(loss=dict(type='MSILoss'), localizer=dict(threshold=0.15))

# The folder as downloaded: the copy of the other configs is smaller than these limits.
data_root = '{{$MMCROWD_DATA_ROOT:data}}/UCF-QNRF_ECCV18'

limits = dict(type='ResizeToLimits', longest=3072, shortest=768)
train_pipeline = [
    dict(type='LoadCrowdImage', lazy=True),
    limits,
    dict(type='RandomScaleCrop', crop_size=768, scale_range=(0.5, 2.0)),
    dict(type='RandomFlip'),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [dict(type='LoadCrowdImage'), limits, dict(type='PackCrowdInputs')]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))

max_epochs = 800
lr = 1e-4
optim_wrapper = dict(optimizer=dict(lr=lr, weight_decay=1e-4))
warmup, cosine = _base_.param_scheduler
param_scheduler = [
    dict(warmup, start_factor=5e-7 / lr),
    dict(cosine, end=max_epochs, T_max=max_epochs - 10),
]
train_cfg = dict(max_epochs=max_epochs)

default_hooks = dict(checkpoint=dict(save_best='count/MAE'))
