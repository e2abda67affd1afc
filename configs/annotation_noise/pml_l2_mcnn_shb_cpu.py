_base_ = 'pml_l1_mcnn_shb_cpu.py'

model = dict(loss=dict(norm='l2', epsilon=1e4))
