_base_ = [
    '../_base_/models/zip_n.py',
    '../_base_/datasets/shb.py',
    '../_base_/schedules/adam_1300e_restarts.py',
    '../_base_/default_runtime.py',
]

bins = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]  # lowest counts
# tools/misc/count_bins.py configs/zip/zip_n_shb.py --splits trainval
bin_centres = [*range(1, 9), 10.18473]
model = dict(
    head=dict(bin_centres=bin_centres),
    loss=dict(bins=bins),
)

train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='RandomScaleCrop', crop_size=448, scale_range=(0.4, 4 / 3)),
    dict(type='RandomFlip'),
    dict(
        type='PhotoMetricDistortion', brightness=0.15, contrast=0.15, saturation=0.1, gray_prob=0.0
    ),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))

default_hooks = dict(checkpoint=dict(save_best='count/MAE'))
