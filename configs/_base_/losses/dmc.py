# Wang et al., NeurIPS 2020.
loss = dict(type='DMCountLoss')
