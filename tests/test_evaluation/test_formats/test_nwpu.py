import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcrowd.evaluation.formats import nwpu

TRUTH = '3110 2 10 20 3 5 1 7 8 2 2 0\n3098 0\n3111 1 5 6 10 14 2\n'
POINTS = '3110 3 1 2 3 4 5 6\n3098 0\n3111 1 9 8\n'


@pytest.fixture
def write(tmp_path):
    """Function that writes a file and returns its path."""

    def write(text, name='file.txt'):
        path = tmp_path / name
        path.write_bytes(text.encode())
        return path

    return write


@pytest.fixture(scope='module')
def nwpu_loc(data_root):
    return data_root / 'nwpu_loc'


def test_predicted_points(write):
    points = nwpu.read_points(write(POINTS))
    assert list(points) == ['3110', '3098', '3111']
    assert points['3110'].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert points['3098'].shape == (0, 2)


def test_true_points(write):
    truth = nwpu.read_truth(write(TRUTH))
    assert truth['3110'].points.tolist() == [[10, 20], [7, 8]]
    assert truth['3110'].sigmas.tolist() == [[3, 5], [2, 2]]
    assert truth['3110'].levels.tolist() == [1, 0]
    assert [value.shape for value in truth['3098']] == [(0, 2), (0, 2), (0,)]


def test_counts(write):
    assert nwpu.read_counts(write('3110 12.5\n3111 0\n3112 1e2')) == {
        '3110': 12.5,
        '3111': 0,
        '3112': 100,
    }


def test_line_ends_and_blanks(write):
    loose = '3110 3 1 2 3 4 5 6  \r\n3098\t0 \r\n 3111 1  9 8\r\n\r\n \n'
    expected = nwpu.read_points(write(POINTS))
    points = nwpu.read_points(write('\ufeff' + loose))  # a byte order mark
    assert points.keys() == expected.keys()
    for img_id in points:
        np.testing.assert_array_equal(points[img_id], expected[img_id])


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('3111', "expected an image id and a number, got '3111'"),
        ('', "expected an image id and a number, got ''"),
        ('3111 two 1 2', "'two' is no finite number"),
        ('3111 -1', 'the number of points is -1, expected a whole number >= 0'),
        ('3111 1.5 3 4', 'the number of points is 1.5, expected a whole number >= 0'),
        ('3111 2 1 2 3', '2 points need 4 values after their number, got 3'),
        ('3111 1 1 2 3', '1 points need 2 values after their number, got 3'),
        ('3111 1 1 x2', "'x2' is no finite number"),
        ('3111 1 nan 2', "'nan' is no finite number"),
        ('3111 nan', "'nan' is no finite number"),
        ('3111 1 1e999 2', "'1e999' is no finite number"),
        ('3111 1 1_2 2', "'1_2' is no finite number"),
        ('3111 1 １ 2', "'１' is no finite number"),
        ('3111 1_0', "'1_0' is no finite number"),
        ('3111 1 1 2.5', '2.5 is not a whole number'),
        ('3110 1 1 2', "image '3110' was on line 1 already"),
    ],
)
def test_bad_points(write, line, message):
    path = write(f'3110 1 1 2\n{line}\n3112 0\n')
    with pytest.raises(ValueError) as error:
        nwpu.read_points(path)
    assert str(error.value) == f'1 problem in {path}:\n- {path}:2: {message}'


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('3111 1 5 6 7', '1 points need 5 values after their number, got 3'),
        ('3111 1 5 6 -1 2 0', 'a radius is -1, expected >= 0'),
        ('3111 1 5 6 1 2 6', 'a level is 6, expected one of 0 to 5'),
    ],
)
def test_bad_truth(write, line, message):
    path = write(f'{line}\n')
    with pytest.raises(ValueError) as error:
        nwpu.read_truth(path)
    assert str(error.value) == f'1 problem in {path}:\n- {path}:1: {message}'


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('3111 -2', 'the count is -2, expected a number >= 0'),
        ('3111 1_2', "'1_2' is no finite number"),
        ('3111 inf', "'inf' is no finite number"),
        ('3111 2 3', 'expected an image id and a count, got 3 values'),
    ],
)
def test_bad_counts(write, line, message):
    path = write(f'3110 3\n{line}')
    with pytest.raises(ValueError) as error:
        nwpu.read_counts(path)
    assert str(error.value) == f'1 problem in {path}:\n- {path}:2: {message}'


def test_all_problems_are_reported_together(write):
    path = write('1 1 2\n2 0\n3 x\n2 0\n')
    with pytest.raises(ValueError) as error:
        nwpu.read_points(path)
    title, *lines = str(error.value).splitlines()
    assert title == f'3 problems in {path}:'
    assert [line.split(':')[1] for line in lines] == ['1', '3', '4']
    many = write(''.join(f'{k} x\n' for k in range(30)))
    with pytest.raises(ValueError) as error:
        nwpu.read_points(many)
    assert str(error.value).splitlines()[-1] == '- and 10 more'


def test_files_without_lines(write):
    for text in ('', '\r\n\n'):
        with pytest.raises(ValueError, match=r'file\.txt: the file is empty'):
            nwpu.read_counts(write(text))
    path = write('')
    path.write_bytes(b'\xff\xfe\x00')
    with pytest.raises(ValueError, match=r'file\.txt: not a text file'):
        nwpu.read_counts(path)


@pytest.mark.parametrize(
    ('text', 'counts'),
    [
        (POINTS, False),
        (TRUTH, False),
        ('1 3\n2 0\n3 7.5\n', True),
        ('1 0\n2 0\n', False),  # could be either: points
        ('1 3\n2 7\n3 7 8\n', True),  # one bad line does not change the kind
        ('1 1 5 6\n2 1 7 8\n3 7\n', False),
    ],
)
def test_kind_of_file(write, text, counts):
    assert nwpu.holds_counts(write(text)) is counts


def test_results_join_truth_and_points(write):
    # Another order, which is that of the truth in the end.
    predictions = write('3098 0\n3111 1 9 8\n3110 3 1 2 3 4 5 6\n', 'p.txt')
    first, second, third = nwpu.read_results(write(TRUTH), predictions)
    assert [first.img_id, second.img_id, third.img_id] == ['3110', '3098', '3111']
    assert (first.pred_count, first.gt_count, third.pred_count, third.gt_count) == (3, 2, 1, 1)
    assert first.pred_points.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert first.gt_points.tolist() == [[10, 20], [7, 8]]
    assert first.gt_sigmas.tolist() == [[3, 5], [2, 2]] and first.gt_levels.tolist() == [1, 0]
    assert second.pred_points.shape == second.gt_points.shape == (0, 2)


def test_results_of_counts(write):
    counts = write('3110 2.5\n3098 0\n3111 4\n', 'p.txt')
    result = nwpu.read_results(write(TRUTH), counts)[0]
    assert (result.pred_count, result.gt_count, result.pred_points) == (2.5, 2, None)
    assert result.gt_points.shape == (2, 2)
    result = nwpu.read_results(write('3110 2\n3098 0\n3111 4\n', 't.txt'), counts)[0]
    assert (result.pred_count, result.gt_count, result.gt_points) == (2.5, 2, None)
    with pytest.raises(ValueError, match=r't\.txt:1: the true count is 2\.5, expected a whole'):
        nwpu.read_results(write('3110 2.5\n3098 0\n3111 4\n', 't.txt'), counts)


def test_images_missing_and_unknown(write):
    truth = write(''.join(f'{k} 0\n' for k in range(24)), 't.txt')
    predictions = write('0 0\n99 0\n98 0\n', 'p.txt')
    with pytest.raises(ValueError) as error:
        nwpu.read_results(truth, predictions)
    assert str(error.value).splitlines() == [
        f'2 problems in {predictions}:',
        f'- 23 images of {truth} are missing: {", ".join(map(str, range(1, 21)))} and 3 more',
        f'- 2 images are not in {truth}: 99, 98',
    ]


ids = st.text('0123456789abc_-/.é', min_size=1, max_size=6)
whole = st.integers(-(10**6), 10**6)


@given(st.dictionaries(ids, st.lists(st.tuples(whole, whole), max_size=5), min_size=1))
def test_points_round_trip(tmp_path_factory, points):
    path = tmp_path_factory.mktemp('points') / 'loc.txt'
    nwpu.write_points(points, path)
    read = nwpu.read_points(path)
    assert list(read) == list(points)
    assert all(read[k].tolist() == [list(p) for p in points[k]] for k in points)


def test_points_are_rounded(tmp_path):
    path = tmp_path / 'new' / 'loc.txt'
    nwpu.write_points({'a': [[0.5, 1.5], [-0.4, 2.51]], 'b': np.zeros((0, 2))}, path)
    assert path.read_text() == 'a 2 0 2 0 3\nb 0\n'


def test_counts_written(tmp_path):
    path = tmp_path / 'count.txt'
    counts = {'a': 12.0, 'b': 0.00004, 'c': 1234567.25, 'd': 100, 'e': 1 / 3, 'f': -0.0}
    nwpu.write_counts(counts, path)
    assert path.read_text() == 'a 12\nb 0\nc 1234567.25\nd 100\ne 0.3333\nf 0\n'
    nwpu.write_points({'a': [[-0.0, -0.3]]}, path)
    assert path.read_text() == 'a 1 0 0\n'


def test_nothing_is_written_of_what_is_wrong(tmp_path):
    path = tmp_path / 'out.txt'
    path.write_text('old')
    for write, values, message in (
        (nwpu.write_points, {'a': [[1, 2]], 'b': [[np.nan, 2]]}, "image 'b': a coordinate is not"),
        (nwpu.write_points, {'a b': []}, "image 'a b': an id must be one word"),
        (nwpu.write_counts, {'': 1.0}, "image '': an id"),
        (nwpu.write_counts, {'a': float('nan')}, "image 'a': the count is nan"),
        (nwpu.write_counts, {'a': -1.0}, "image 'a': the count is -1.0"),
    ):
        with pytest.raises(ValueError, match=message):
            write(values, path)
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ('name', 'total'), [('Raz_loc_val_0.5.txt', 161_159), ('fasterRCNN_val_0.8_0.3.txt', 7_684)]
)
def test_published_predictions(nwpu_loc, tmp_path, name, total):
    points = nwpu.read_points(nwpu_loc / name)
    assert len(points) == 500 and sum(map(len, points.values())) == total
    nwpu.write_points(points, tmp_path / name)
    assert words(tmp_path / name) == words(nwpu_loc / name)


def test_published_truth(nwpu_loc, tmp_path):
    truth = nwpu.read_truth(nwpu_loc / 'val_gt_loc.txt')
    assert len(truth) == 500 and sum(len(heads.points) for heads in truth.values()) == 196_238
    nwpu.write_truth(truth, tmp_path / 'truth.txt')
    assert words(tmp_path / 'truth.txt') == words(nwpu_loc / 'val_gt_loc.txt')


def words(path):
    return [line.split() for line in path.read_text().splitlines()]
