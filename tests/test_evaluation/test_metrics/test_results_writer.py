import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData

from mmcrowd.evaluation.formats import nwpu
from mmcrowd.evaluation.image_result import load_results
from mmcrowd.evaluation.metrics.results_writer import ResultsWriter
from mmcrowd.registry import METRICS
from mmcrowd.structures import CrowdDataSample


def make_sample(img_id, count=2.0, points=((1.2, 3.0), (4.0, 5.6))):
    meta = dict(img_id=img_id, img_path=f'{img_id}.jpg', ori_shape=(40, 60), img_shape=(40, 60))
    sample = CrowdDataSample(metainfo=meta)
    sample.pred_count, sample.gt_count = count, 1
    sample.gt_instances = InstanceData(points=torch.tensor([[7.0, 8.0]]))
    if points is not None:
        sample.pred_instances = InstanceData(
            points=torch.tensor(points).reshape(-1, 2), scores=torch.ones(len(points))
        )
    return sample


def run(samples, size=None, **kwargs):
    evaluator = Evaluator(METRICS.build(dict(type='ResultsWriter', **kwargs)))
    evaluator.process(samples)
    return evaluator.evaluate(size or len(samples))


def test_json_and_submission(tmp_path):
    samples = [make_sample('3110'), make_sample('3098', 0.25, ()), make_sample('3111', 7.5)]
    out, folder = tmp_path / 'new' / 'results.json', tmp_path / 'submission'
    assert run(samples, out_file=str(out), submission_dir=str(folder)) == {}
    results = load_results(out)
    assert [result.img_id for result in results] == ['3110', '3098', '3111']
    assert [result.pred_count for result in results] == [2, 0.25, 7.5]
    assert results[0].gt_count == 1 and results[0].img_path == '3110.jpg'
    np.testing.assert_allclose(results[0].pred_points, [[1.2, 3], [4, 5.6]])
    assert (folder / 'count.txt').read_text() == '3110 2\n3098 0.25\n3111 7.5\n'
    assert (folder / 'loc.txt').read_text() == '3110 2 1 3 4 6\n3098 0\n3111 2 1 3 4 6\n'
    assert nwpu.read_points(folder / 'loc.txt')['3098'].shape == (0, 2)


def test_images_that_pad_the_last_round_are_cut(tmp_path):
    samples = [make_sample('3110'), make_sample('3111'), make_sample('3110')]
    run(samples, size=2, submission_dir=str(tmp_path))
    assert list(nwpu.read_counts(tmp_path / 'count.txt')) == ['3110', '3111']


def test_a_model_that_only_counts_has_no_points(tmp_path):
    run([make_sample('3110', 3.5, None)], submission_dir=str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ['count.txt']


def test_only_what_is_asked_for(tmp_path):
    run([make_sample('3110')], out_file=str(tmp_path / 'r.json'))
    assert [path.name for path in tmp_path.iterdir()] == ['r.json']


def test_a_submission_that_cannot_be(tmp_path):
    with pytest.raises(ValueError, match="image '3110' is there twice"):
        run([make_sample('3110'), make_sample('3110')], submission_dir=str(tmp_path))
    with pytest.raises(ValueError, match="image '3111' has no predicted points, others have"):
        run([make_sample('3110'), make_sample('3111', points=None)], submission_dir=str(tmp_path))


def test_bad_arguments():
    with pytest.raises(ValueError, match='out_file or submission_dir, got neither'):
        ResultsWriter()
    with pytest.raises(ValueError, match=r"out_file='r.pkl', expected a name that ends in \.json"):
        ResultsWriter(out_file='r.pkl')


def test_the_old_name_in_a_config():
    metric = METRICS.build(dict(type='ResultsDump', out_file='r.json'))
    assert isinstance(metric, ResultsWriter)
