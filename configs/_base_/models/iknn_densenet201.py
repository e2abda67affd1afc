# MUD-ikNN (Olmschenk, Tang and Zhu, arXiv 1902.05379) on DenseNet201: three inverse
# k-nearest-neighbour maps and the count of patches of 224 x 224 pixels.
model = dict(
    type='DensityCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor',
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True,
        # What is padded is padded by PatchInference.
        pad_size_divisor=1,
    ),
    backbone=dict(
        type='mmpretrain.DenseNet',
        arch='201',
        out_indices=(0, 1, 2, 3),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/densenet/densenet201_4xb256_in1k_20220426-05cae4ef.pth',
            prefix='backbone',
        ),
    ),
    head=dict(type='IKNNHead', in_channels=(128, 256, 896, 1920), patch_size=224),
    loss=dict(type='IKNNLoss', map_weight=1e-6),
    inference=dict(type='PatchInference', patch_size=224, step=128, pad_value=-1.0),
)
