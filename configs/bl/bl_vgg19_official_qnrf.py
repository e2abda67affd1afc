# The published program with its network and schedule. The background ratio is that of the paper for
# this set; the program's default is 1.0.
#
# Their program expects of a person at the edge of a crop the visible share only; here it is 1 for
# everybody whose point is inside.
_base_ = [
    '../_base_/losses/bl.py',
    '../_base_/experiments/bl_vgg19_qnrf.py',
    '../_base_/schedules/adam_1000e_constant.py',
]

model = dict(loss=dict(_base_.loss, background_ratio=0.15))
