_base_ = [
    '../_base_/experiments/switch_cnn_coupled.py',
    '../_base_/datasets/switch_cnn_qnrf.py',
]

load_from = 'work_dirs/switch_cnn_qnrf_differential/epoch_100.pth'
