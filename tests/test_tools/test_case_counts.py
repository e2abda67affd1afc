"""The command line that counts in point-neighbour cases."""

from pathlib import Path

import pytest
from mmengine.registry import init_default_scope
from PIL import Image

from mmcrowd.engine.config import read_config
from mmcrowd.evaluation.image_result import load_results, save_results
from mmcrowd.fileio.checkpoints import save_checkpoint
from mmcrowd.registry import MODELS
from tests.testing.results import make_result

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
TRUTH = '1 2 10 10 3 5 1 12 10 3 5 1\n2 0\n3 1 20 20 4 6 2\n'
PREDICTIONS = '1 2 9 10 8 8\n2 1 5 5\n3 0\n'


@pytest.fixture
def tool(load_tool):
    return load_tool('analysis_tools/case_counts.py')


def printed(capsys):
    """Cells of the table on the screen, by row."""
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith('| ')]
    return [line.strip('| ').split(' | ') for line in lines]


def test_files(tool, tmp_path, capsys):
    for name, text in (('truth', TRUTH), ('predictions', PREDICTIONS)):
        (tmp_path / f'{name}.txt').write_text(text)
    save_results([make_result('a', [[0, 0], [3, 0]], [[2, 0]])], tmp_path / 'results.json')
    out = tmp_path / 'cases.png'
    tool.main(
        ['--nwpu', str(tmp_path / 'truth.txt'), str(tmp_path / 'predictions.txt')]
        + ['--results', str(tmp_path / 'results.json'), '--bins', '2', '--out', str(out)]
    )
    head, *rows = printed(capsys)
    assert head[1::2] == ['results: cases', 'predictions: cases']
    assert rows == [['0-4', '2', '0.5000', '2', '1.0000'], ['4+', '0', 'nan', '1', '0.0000']]
    assert min(Image.open(out).size) > 500


def test_density_of_a_model(tool, load_tool, tmp_path, capsys):
    """All persons whom the model sees in images with people are in some case."""
    config = tmp_path / 'tiny.py'
    config.write_text(
        f'_base_ = {str(CONFIGS / "pml_resnet18_synthetic.py")!r}\n'
        'tiny = dict(num_images=3, img_size=(96, 70))\n'
        'test_dataloader = dict(num_workers=0, dataset=tiny)\n'
    )
    cfg = read_config(config)
    init_default_scope(cfg.default_scope)
    save_checkpoint(MODELS.build(cfg.model).state_dict(), {}, tmp_path / 'tiny.pth')
    common = [str(config), str(tmp_path / 'tiny.pth'), '--work-dir', str(tmp_path)]
    tool.main(['--model', *common, '--out', str(tmp_path / 'cases.png')])
    rows = printed(capsys)[1:]

    results = tmp_path / 'results.json'
    load_tool('test.py').main([*common, '--out', str(results)])
    people = [result for result in load_results(results) if result.gt_count]
    assert sum(int(row[1]) for row in rows) == sum(result.gt_count for result in people) > 0
    total = sum(int(row[1]) * float(row[2]) for row in rows if int(row[1]))
    assert total > 0
    assert total == pytest.approx(sum(result.pred_count for result in people), rel=1e-3)


@pytest.mark.parametrize(
    'argv, message',
    [
        ([], 'expected one of --model, --results and --nwpu'),
        (['--results', 'a.json', '--results', 'b/a.json'], 'expected 2 different --names'),
    ],
)
def test_bad_arguments(tool, capsys, argv, message):
    with pytest.raises(SystemExit):
        tool.main(argv)
    assert message in capsys.readouterr().err
