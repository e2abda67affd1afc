"""The table of published systems in docs/pretrained_weights.md."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

REPO = Path(__file__).parents[2]
# Stored outputs, and how the row of their system begins.
ROWS = dict(
    p2pnet='P2PNet',
    pet='PET',
    cltr='CLTR',
    sfcn_plus='SFCN',
    csrnet='CSRNet',
    mcnn='MCNN',
    man='MAN',
    steerer='STEERER',
    ebc_vgg19_ae='DMCount-EBC',
    zip_p='ZIP-P',
    zip_n='ZIP-N',
    fidtm='FIDTM',
    iim_hrnet='IIM-HRNet',
    iim_vgg16='IIM-VGG16',
    d2cnet='D2CNet',
    iknn='MUD-ikNN',
    raz_loc='RAZ_loc',
    topocount='TopoCount',
    lsc_cnn='LSC-CNN',
)
# What the numbers of parameters are called in them; D2CNet has two networks.
NUMBERS = ('num_parameters', 'n_parameters', 'n_parameters_pmr', 'n_parameters_cmr')


@pytest.fixture(scope='module')
def table():
    """Cells of each row, by the beginning of the name of its system."""
    text = (REPO / 'docs' / 'pretrained_weights.md').read_text()
    rows = re.findall(r'^\| \[([\w-]+)[^]]*\]\((\S+)\).*?\|(.*)\|$', text, re.MULTILINE)
    return {
        name: [link, *(cell.strip() for cell in cells.split('|'))] for name, link, cells in rows
    }


@pytest.mark.parametrize('name', ROWS)
def test_parameters_are_those_of_the_program(golden_root, table, name):
    with np.load(golden_root / 'systems' / f'{name}.npz') as stored:
        number = sum(int(stored[key]) for key in NUMBERS if key in stored)
    assert int(table[ROWS[name]][1].replace(',', '')) == number


def test_rows_fit_the_metafiles(table):
    """Parameters and multiply-adds are those of the folder's metafile; converters are there."""
    for link, theirs, ours, operations, *_, converter, trained in table.values():
        folder = (REPO / 'docs' / link).resolve().parent
        models = yaml.safe_load((folder / 'metafile.yml').read_text())['Models']
        rows = [row.get('Metadata', {}) for row in models]
        number = int((ours or theirs).partition(', ')[0].replace(',', '').split()[0])
        assert (REPO / 'tools' / 'model_converters' / converter.strip('`')).exists()
        assert trained
        assert number in [row.get('Parameters') for row in rows], link
        size = re.fullmatch(r'([\d.]+) G(, .*)?', operations)
        assert round(1e9 * float(size[1])) in [row.get('FLOPs') for row in rows], link
