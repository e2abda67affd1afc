_base_ = [
    '../_base_/experiments/switch_cnn_pretrain.py',
    '../_base_/datasets/switch_cnn_qnrf.py',
]
