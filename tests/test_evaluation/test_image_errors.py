import math

import numpy as np
import pytest

from mmcrowd.evaluation.formats import nwpu
from mmcrowd.evaluation.image_errors import (
    ImageErrors,
    by_absolute_error,
    pooled_errors,
    worst_images,
)
from mmcrowd.evaluation.image_result import ImageResult

from ..testing.results import make_errors

LEFT, MIDDLE, RIGHT = (10.0, 20.0), (50.0, 20.0), (90.0, 20.0)


def test_one_image_by_hand():
    image = make_errors([LEFT, MIDDLE, RIGHT], [(56.0, 20.0), (13.0, 24.0)], 5)  # 6 and 5 px
    assert (image.error, image.absolute, image.relative) == (-1, 1, -1 / 3)
    assert image.right.tolist() == [False, True]
    assert image.found.tolist() == [True, False, False]
    assert image.matches == (1, 1, 2) and image.f1 == 0.4
    assert image.spacing.tolist() == [40, 40, 40]


def test_what_is_not_known_is_none():
    counted = ImageErrors(ImageResult(img_id='a', pred_count=1.5, gt_count=0))
    assert (counted.error, counted.relative, counted.f1) == (1.5, None, None)
    assert not counted.located and counted.found is counted.right is None
    assert ImageErrors(ImageResult(img_id='a', pred_count=1)).error is None
    nobody = make_errors([], [])
    assert nobody.located and nobody.f1 is None and nobody.spacing.shape == (0,)
    assert make_errors([LEFT], []).spacing.tolist() == [math.inf]


def test_pooled_errors_by_hand():
    images = [
        make_errors([LEFT, MIDDLE], [LEFT]),
        make_errors([LEFT], [LEFT, MIDDLE, RIGHT]),
        ImageErrors(ImageResult(img_id='c', pred_count=7)),
    ]
    assert pooled_errors(images) == pytest.approx(
        dict(
            predicted=4,
            true=3,
            bias=0.5,
            MAE=1.5,
            RMSE=math.sqrt(2.5),
            NAE=1.25,
            P=0.5,
            R=2 / 3,
            F1=4 / 7,
        )
    )
    assert pooled_errors(images[2:]) == dict(predicted=7)


def test_validation_of_nwpu(data_root):
    """The benchmark's own program gives these, to the last digit."""
    folder = data_root / 'nwpu_loc'
    results = nwpu.read_results(folder / 'val_gt_loc.txt', folder / 'Raz_loc_val_0.5.txt')
    errors = pooled_errors([ImageErrors(result, 'sigma_l') for result in results])
    official = dict(
        P=0.6929057638729453,
        R=0.5690437122269897,
        F1=0.6248961239182198,
        MAE=128.71,
        RMSE=665.3876449108444,
        NAE=0.508176106524748,
    )
    assert official.items() <= errors.items()


def test_worst_images_are_taken_in_turns():
    images = [
        make_errors([LEFT], [(500.0, 500.0)], img_id='all wrong'),
        make_errors([LEFT] * 30, [LEFT] * 36, img_id='six too many'),
        make_errors([LEFT], [LEFT] * 2, img_id='double'),
        make_errors([LEFT], [LEFT], img_id='right'),
        make_errors([LEFT] * 30, [LEFT] * 25, img_id='five too few'),
        ImageErrors(ImageResult(img_id='no truth', pred_count=99)),
    ]

    def names(images):
        return [image.result.img_id for image in images]

    assert names(worst_images(images, 1)) == ['six too many']
    assert set(names(worst_images(images, 3))) == {'six too many', 'double', 'all wrong'}
    # Then five too few is the next by absolute error.
    assert names(worst_images(images, 4))[1] == 'five too few'
    assert len(worst_images(images, 24)) == 5 and worst_images(images, 0) == []
    order = names(by_absolute_error(images))
    assert order[:3] == ['six too many', 'five too few', 'double'] and order[-1] == 'no truth'


def test_radius_of_each_head():
    gt, pred = [LEFT, RIGHT], [(10.0, 26.0), (90.0, 26.0)]
    for radius, f1 in (('sigma_s', 0.5), ('sigma_l', 1)):
        assert make_errors(gt, pred, radius, gt_sigmas=[(3, 6), (6, 9)]).f1 == f1


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: make_errors([], [], 0.0), r'radius is 0\.0, expected pixels > 0'),
        (lambda: make_errors([], [], math.nan), 'radius is nan'),
        (lambda: make_errors([], [], 'sigma'), "'sigma', .* sigma_s, sigma_l"),
        (lambda: make_errors([LEFT], [], 'sigma_l'), "'a' has neither gt_sigmas"),
        (lambda: make_errors([(np.inf, 1)], []), "'a': gt_points has a value"),
        (lambda: make_errors([], [(np.nan, 1)]), "'a': pred_points has a value"),
        (lambda: make_errors([LEFT], [], gt_levels=[6]), r"'a': gt_levels are \[6\]"),
        (
            lambda: ImageErrors(ImageResult(img_id='a', pred_count=math.nan)),
            "'a': pred_count is nan",
        ),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
