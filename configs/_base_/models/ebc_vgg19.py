# DMCount-EBC (Ma, Sanchez and Guha, arXiv 2403.09281): VGG-19 up to conv5_4, doubled to stride 8,
# 21.5 M numbers. `head` gets the bin centres of a data set in the config of that set.
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
        # OpenMMLab's ImageNet weights; the program starts from torchvision's.
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/vgg/vgg19_batch256_imagenet_20210208-e6920e4a.pth',
            prefix='backbone',
        ),
    ),
    head=dict(type='EBCHead', in_channels=512, out_stride=8),
    # The program adds the transport term, of weight 0.1, up over the 8 images of a batch.
    loss=dict(type='EBCLoss', bins=[0, 1, 2, 3, 4], ot_weight=0.8),
)
