# ZIP-N (Ma, Sanchez and Guha, arXiv 2506.19955): a light network that predicts the distribution of
# the count of every block. `head` and `loss` get the bins of a data set in the config of that set.
model = dict(
    type='DensityCounter',
    data_preprocessor=dict(
        type='CrowdDataPreprocessor',
        # 255 times CLIP's, which all sizes of ZIP use.
        mean=[122.7709, 116.7460, 104.0937],
        std=[68.5005, 66.6322, 70.3232],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type='mmpretrain.TIMMBackbone',  # needs the extra [timm]
        model_name='mobilenetv4_conv_small',
        features_only=True,
        out_indices=[-1],  # stride 32
        pretrained=True,  # ImageNet weights, which timm downloads; False begins from scratch
    ),
    neck=dict(type='SeparableRefiner', in_channels=960, num_doublings=1),
    head=dict(type='ZIPHead', in_channels=240, out_stride=16),
    loss=dict(type='ZIPLoss'),
)
