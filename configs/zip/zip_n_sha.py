_base_ = [
    '../_base_/models/zip_n.py',
    '../_base_/datasets/sha.py',
    '../_base_/schedules/adam_1300e_restarts.py',
    '../_base_/default_runtime.py',
]

bins = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15]  # lowest counts
# tools/misc/count_bins.py configs/zip/zip_n_sha.py --splits trainval
bin_centres = [*range(1, 11), 11.38326, 13.36888, 16.18427]
model = dict(
    head=dict(bin_centres=bin_centres),
    loss=dict(bins=bins),
)

# The published images, by their number of pixels, have shorter sides of 672 pixels or more.
train_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='ResizeToLimits', shortest=672),
    dict(type='RandomScaleCrop', crop_size=448, scale_range=(0.5, 4 / 3)),
    dict(type='RandomFlip'),
    dict(
        type='PhotoMetricDistortion', brightness=0.15, contrast=0.15, saturation=0.1, gray_prob=0.0
    ),
    dict(type='PackCrowdInputs'),
]
test_pipeline = [
    dict(type='LoadCrowdImage'),
    dict(type='ResizeToLimits', shortest=672),
    dict(type='PackCrowdInputs'),
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

default_hooks = dict(checkpoint=dict(save_best='count/MAE'))
