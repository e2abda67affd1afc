# After Ma et al., AAAI 2021; cost, solver and numbers are this library's.
loss = dict(type='UOTLoss')
