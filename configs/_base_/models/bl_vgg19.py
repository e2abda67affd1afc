# The network of the published programs of the Bayesian loss (Ma et al., ICCV 2019), DM-Count (Wang
# et al., NeurIPS 2020) and GL (Wan, Liu and Chan, CVPR 2021): VGG-19 up to conv5_4, enlarged to
# stride 8, 21.5 M numbers; tools/model_converters/bl_from_published.py brings its checkpoints.
#
# As it stands it is that of the Bayesian loss. The programs lose up to 15 pixels at the right and
# the lower edge of a test image; here images are padded.
model = dict(
    type='DensityCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=16,
    ),
    backbone=dict(
        type='VGGFeatures',
        depth=19,
        out_stages=(4,),  # before pool5
        # OpenMMLab's ImageNet weights; the programs start from torchvision's.
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/vgg/vgg19_batch256_imagenet_20210208-e6920e4a.pth',
            prefix='backbone',
        ),
    ),
    head=dict(type='RegressionHead', out_stride=8, upsample='bilinear', activation='abs'),
    precision='fp32',  # 'bf16': autocast and channels-last, see docs/speed.md
)
