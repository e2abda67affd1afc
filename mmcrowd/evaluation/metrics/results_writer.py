from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmcrowd.evaluation.formats import nwpu
from mmcrowd.evaluation.image_result import ImageResult, save_results
from mmcrowd.registry import METRICS


@METRICS.register_module(name=['ResultsWriter', 'ResultsDump'])
class ResultsWriter(BaseMetric):
    """Write truth and prediction of every image of a test run to files; prints no number.

    In distributed evaluation MMEngine collects the results of all ranks in the order of the data
    set and cuts off the images that pad the last round; rank 0 writes. Files appear whole or not
    at all.

    Configs may call it ``ResultsDump`` for one more release.

    Args:
        out_file: JSON file for :func:`~mmcrowd.evaluation.load_results`. Defaults to None: not
            written.
        submission_dir: Folder for the files that the NWPU-Crowd benchmark takes, see
            :mod:`mmcrowd.evaluation.formats.nwpu`: ``count.txt`` with the predicted counts, and
            ``loc.txt`` with the predicted points if the model predicts points. Defaults to
            None: not written.
        collect_device: ``'cpu'`` or ``'gpu'``, see :class:`mmengine.evaluator.BaseMetric`.
        collect_dir: Shared folder through which ``collect_device='cpu'`` collects.

    Raises:
        ValueError: Neither output is given, ``out_file`` does not end in ``.json``; while writing a
            submission, two images have the same id or only some images have predicted points.
        KeyError: While processing, for a sample without ``img_id`` or ``pred_count``.

    Examples:
        In a config, for a test set whose annotation is not published:

        .. code:: python

            test_evaluator = dict(type='ResultsWriter', submission_dir='submission')

    Examples:
        >>> writer = ResultsWriter(out_file='results.json')
        >>> writer.process({}, [dict(img_id='IMG_1', pred_count=1.5)])
        >>> writer.results[0].pred_count  # written by ``writer.evaluate(1)``
        1.5
    """

    default_prefix = 'results'

    def __init__(
        self,
        out_file: str | None = None,
        submission_dir: str | None = None,
        collect_device: str = 'cpu',
        collect_dir: str | None = None,
    ):
        super().__init__(collect_device=collect_device, collect_dir=collect_dir)
        if out_file is None and submission_dir is None:
            raise ValueError('ResultsWriter needs out_file or submission_dir, got neither')
        if out_file is not None and not str(out_file).endswith('.json'):
            raise ValueError(f'out_file={out_file!r}, expected a name that ends in .json')
        self.out_file = out_file
        self.submission_dir = submission_dir

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep truth and prediction of each sample."""
        self.results.extend(
            ImageResult.from_sample(sample, 'ResultsWriter') for sample in data_samples
        )

    def compute_metrics(self, results: list[ImageResult]) -> dict:
        """Write the results of all ranks."""
        if self.out_file is not None:
            save_results(results, self.out_file)
            print_log(f'The results are in {self.out_file}.', logger='current')
        if self.submission_dir is not None:
            self._write_submission(results, Path(self.submission_dir))
        return {}

    @staticmethod
    def _write_submission(results: list[ImageResult], folder: Path) -> None:
        by_id = {result.img_id: result for result in results}
        if len(by_id) < len(results):
            twice = next(r.img_id for r in results if by_id[r.img_id] is not r)
            raise ValueError(f'image {twice!r} is there twice, the ids of a submission must differ')
        files = [folder / 'count.txt']
        nwpu.write_counts({key: result.pred_count for key, result in by_id.items()}, files[0])
        points = {k: r.pred_points for k, r in by_id.items() if r.pred_points is not None}
        if points:
            if len(points) < len(by_id):
                without = next(key for key in by_id if key not in points)
                raise ValueError(f'image {without!r} has no predicted points, others have')
            files.append(folder / 'loc.txt')
            nwpu.write_points(points, files[1])
        print_log(f'The submission is in {", ".join(map(str, files))}.', logger='current')


ResultsDump = ResultsWriter  # the old name, for one release
