# PML on the expected counts of ebc_lite0_shb_cpu.py, in its KL form: the classes begin alike, with
# thousands of people, and L1 takes all of them away before the features say where somebody is.
_base_ = ['../_base_/losses/pml_kl.py', 'ebc_lite0_shb_cpu.py']

model = dict(loss=dict(_base_.loss, _delete_=True))
train_dataloader = dict(dataset=dict(partition_stride=_base_.model.head.out_stride))
