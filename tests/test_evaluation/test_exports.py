"""What can be imported from mmcrowd.evaluation itself."""

import pytest

from mmcrowd import evaluation
from mmcrowd.evaluation import functional, image_errors, image_result, metrics, result_metrics


def test_everything_that_its_parts_export():
    for part in (functional, image_errors, image_result, metrics, result_metrics):
        for name in part.__all__:
            assert getattr(evaluation, name) is getattr(part, name)
            assert name in dir(evaluation)


def test_nothing_else():
    with pytest.raises(AttributeError, match="'mmcrowd.evaluation' has no attribute 'npu'"):
        evaluation.npu  # noqa: B018
