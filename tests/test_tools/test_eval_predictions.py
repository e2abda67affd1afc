"""The command line that evaluates published prediction files."""

import json
import math

import pytest

from mmcrowd.evaluation.image_result import load_results

TRUTH = '1 2 10 10 3 5 1 50 50 3 5 1\n2 0\n3 1 20 20 4 6 2\n'
POINTS = '1 2 12 10 54 50\n2 1 5 5\n3 0\n'

# What the benchmark's own program prints, at sigma_s and sigma_l.
OFFICIAL = {
    'Raz_loc_val_0.5.txt': {
        'sigma_s': ('0.5452312134684959', '0.6045706414162411', '0.4964991489925499'),
        'sigma_l': ('0.6248961239182198', '0.6929057638729453', '0.5690437122269897'),
        'all': ('128.71', '665.3876449108444', '0.508176106524748'),
    },
    'fasterRCNN_val_0.8_0.3.txt': {
        'sigma_s': ('0.06782004884220437', '0.8999219156689224', '0.03523782345926885'),
        'sigma_l': ('0.0726454232500662', '0.9639510671525248', '0.03774498313272659'),
        'all': ('377.264', '1051.218805006836', '0.7977137807210051'),
    },
}


@pytest.fixture
def tool(load_tool):
    return load_tool('analysis_tools/eval_predictions.py')


@pytest.fixture
def files(tmp_path):
    """Function that writes files of one line per image, and returns their names."""

    def write(*texts):
        names = [str(tmp_path / f'{k}.txt') for k in range(len(texts))]
        for name, text in zip(names, texts, strict=True):
            with open(name, 'w', encoding='utf-8') as file:
                file.write(text)
        return names

    return write


def printed(capsys) -> dict[str, dict[str, str]]:
    """The tables on the screen: by row, then by column."""
    rows, columns = {}, None
    for line in capsys.readouterr().out.splitlines():
        cells = [cell.strip() for cell in line.strip('|').split('|')]
        if cells == ['']:
            columns = None
        elif columns is None:
            columns = cells[1:]
        elif set(line) != set('|-'):
            rows[cells[0]] = dict(zip(columns, cells[1:], strict=True))
    return rows


@pytest.mark.parametrize('name', OFFICIAL)
def test_official_numbers_to_the_last_digit(tool, data_root, capsys, name):
    folder = data_root / 'nwpu_loc'
    tool.main([str(folder / 'val_gt_loc.txt'), str(folder / name)])
    rows = printed(capsys)
    for row in ('sigma_s', 'sigma_l'):
        assert tuple(rows[row][key] for key in ('F1', 'P', 'R')) == OFFICIAL[name][row]
    assert tuple(rows['all'][key] for key in ('MAE', 'RMSE', 'NAE')) == OFFICIAL[name]['all']


def test_hand_computed(tool, files, tmp_path, capsys):
    out, metrics = tmp_path / 'results.json', tmp_path / 'metrics.json'
    tool.main([*files(TRUTH, POINTS), '--out', str(out), '--json', str(metrics)])
    rows = printed(capsys)
    # Distances 2 and 4; a point where nobody is, and a person without point.
    assert float(rows['sigma_s']['P']) == pytest.approx(1 / 3)
    assert float(rows['sigma_l']['P']) == float(rows['sigma_l']['R']) == pytest.approx(2 / 3)
    assert float(rows['all']['MAE']) == pytest.approx(2 / 3)
    assert float(rows['S1']['MAE']) == 0.5 and rows['S4']['MAE'] == 'nan'
    saved = json.loads(metrics.read_text())
    assert saved['loc/F1@sigma_l'] == pytest.approx(2 / 3)
    assert saved['count/MAE_S0'] == 1 and math.isnan(saved['count/NAE_S0'])
    assert [result.pred_count for result in load_results(out)] == [2, 1, 0]


def test_radii_in_pixels(tool, files, capsys):
    tool.main([*files(TRUTH, POINTS), '--radii', '2', '1.5', 'sigma_l', '--classes', 'jhu'])
    rows = printed(capsys)
    assert float(rows['2']['P']) == pytest.approx(1 / 3)
    assert float(rows['1.5']['P']) == 0
    assert float(rows['sigma_l']['P']) == pytest.approx(2 / 3)
    assert float(rows['low']['MAE']) == pytest.approx(2 / 3)


def test_files_of_counts(tool, files, capsys):
    counts = '1 3.5\n2 0\n3 1\n'
    for truth in (TRUTH, '1 2\n2 0\n3 1\n'):
        tool.main(files(truth, counts))
        rows = printed(capsys)
        assert rows['all']['MAE'] == '0.5' and 'sigma_s' not in rows
    with pytest.raises(ValueError, match=r'radii=\[4\]: some images have only counts'):
        tool.main([*files(TRUTH, counts), '--radii', '4'])


def test_what_is_wrong_names_the_file(tool, files):
    truth, predictions = files(TRUTH, '1 1 5\n2 0\n3 0\n')
    with pytest.raises(ValueError, match=r'1\.txt:1: 1 points need 2 values'):
        tool.main([truth, predictions])


def test_bad_radius(tool, files, capsys):
    with pytest.raises(SystemExit):
        tool.main([*files(TRUTH, POINTS), '--radii', 'sigma_x'])
    assert "'sigma_x', expected pixels or one of sigma_s, sigma_l" in capsys.readouterr().err
