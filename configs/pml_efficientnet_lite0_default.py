# The model that comes with the package: `mmcrowd count`, `CrowdInferencer()`. Both parts of
# ShanghaiTech, and a tenth each of drawn crowds and of pictures of nobody, so that not all that is
# small and round is taken for a head.
_base_ = 'pml_efficientnet_lite0_shab_cpu.py'

model = dict(localizer=dict(type='OTMinimization'))

drawn_size = (768, 576)  # width, height
drawn = dict(
    num_images=60,
    split='train',
    img_size=drawn_size,
    pipeline=_base_.train_pipeline,
    partition_stride=_base_.model.head.out_stride,
)
train_dataloader = dict(
    dataset=dict(
        ignore_keys=['dataset_name'],  # they may have several
        datasets=[
            *_base_.train_dataloader.dataset.datasets,
            dict(drawn, type='SyntheticCrowdDataset', max_count=1000),
            dict(drawn, type='SyntheticSurfaceDataset'),
        ],
    )
)
