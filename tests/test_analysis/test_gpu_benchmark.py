import torch

from mmcrowd.analysis.benchmarks.gpu import Measurement, attempt


def test_what_does_not_run_is_told():
    def prepare():
        raise RuntimeError('no kernel')

    assert attempt('train', 'x', 'fp32', (1, 8), prepare, torch.device('cpu'), 0) == Measurement(
        'train', 'x', 'fp32', 1, 8, None, None, 'RuntimeError: no kernel'
    )
