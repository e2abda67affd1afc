_base_ = [
    '../_base_/experiments/switch_cnn_coupled.py',
    '../_base_/datasets/switch_cnn_ucf_cc_50.py',
]

load_from = 'work_dirs/switch_cnn_ucf_cc_50_differential/epoch_100.pth'
