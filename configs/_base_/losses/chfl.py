# Shu et al., CVPR 2022, as their program has it for sparse data sets; 'dense' for SHA and QNRF.
loss = dict(type='CHFLoss', form='sparse')
