# Han, Bai, Liu and Ouyang, ICCV 2023.
loss = dict(type='MSILoss')
