import argparse

import pytest

from mmcrowd.evaluation.radius_argument import parse_radius


def test_pixels_and_names():
    radii = [parse_radius(text) for text in ('8', '2.5', '8.0', 'sigma_s')]
    assert radii == [8, 2.5, 8, 'sigma_s'] and type(radii[2]) is int


@pytest.mark.parametrize('text', ['wide', '1_2', 'nan', 'inf', '+3', '\uff13', ''])
def test_what_is_no_radius(text):
    with pytest.raises(
        argparse.ArgumentTypeError, match='expected pixels or one of sigma_s, sigma_l'
    ):
        parse_radius(text)
