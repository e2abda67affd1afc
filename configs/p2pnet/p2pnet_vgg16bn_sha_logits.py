# P2PNet that matches on logits instead of probabilities (Lin, Wan and Chan, ICLR 2025, eq. 30).
_base_ = 'p2pnet_vgg16bn_sha.py'

model = dict(loss=dict(matcher=dict(score='logit')))
