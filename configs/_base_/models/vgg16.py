# A lighter counter than the authors' (vgg19.py, vgg16bn.py): VGG-16 without normalisation, 256
# channels in place of 512 after the backbone. For the configs of CPUs and of drawn crowds.
model = dict(
    type='DensityCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type='VGGFeatures',
        depth=16,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/vgg/vgg16_batch256_imagenet_20210208-db26f1a5.pth',
            prefix='backbone',
        ),
    ),
    # Before pool4 (stride 8) and before pool5 (stride 16).
    neck=dict(type='TopDownFusion', in_channels=[512, 512], out_channels=256),
    head=dict(type='DensityHead', in_channels=256, in_stride=8, out_stride=2),
    precision='fp32',  # 'bf16': autocast and channels-last, see docs/speed.md
)
