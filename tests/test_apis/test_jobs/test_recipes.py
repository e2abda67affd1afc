"""The recipes of docs/large_jobs.md run, or are at least read by what they are for."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from mmcrowd import cli
from mmcrowd.commands import infer
from tests.testing.killed_job import StoppedImages, draw_images, times_counted

REPO = Path(__file__).parents[3]
BLOCKS = re.findall(
    r'^```(\w+)\n(.+?)^```', (REPO / 'docs/large_jobs.md').read_text(encoding='utf-8'), re.M | re.S
)


# Why the recipes for engines are left out of `make test`: these take 400 MB.
ENGINES = 'needs requirements/engines.txt: make test-recipes'


def block(language, word):
    (found,) = [text for name, text in BLOCKS if name == language and word in text]
    return found


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Three images in ``photos``, and one that is none, below the current folder."""
    monkeypatch.chdir(tmp_path)
    draw_images(Path('photos'), 3)
    Path('photos', '000', 'bad.png').write_bytes(b'bad')


def test_every_command_is_understood(load_tool):
    commands = [
        line.partition('tools/infer.py')[2].rstrip('&\n ')
        for _, text in BLOCKS
        for line in text.splitlines()
        if 'tools/infer.py' in line
    ]
    assert len(commands) == 4
    for command in commands:
        values = dict(SLURM_ARRAY_TASK_ID='15', SLURM_ARRAY_TASK_COUNT='16')
        for name, value in values.items():
            command = command.replace(f'${name}', value)
        args = load_tool('infer.py').parse_args(shlex.split(command))
        assert args.out_dir == 'out' and args.shard in (None, (15, 16))


def test_slurm():
    text = block('bash', '#SBATCH')
    subprocess.run(['bash', '-n'], input=text, text=True, check=True)
    assert '--array=0-15' in text


def test_kubernetes():
    spec = yaml.safe_load(block('yaml', 'kind: Job'))['spec']
    (container,) = spec['template']['spec']['containers']
    script = container['command'][2].replace('$JOB_COMPLETION_INDEX', '15')
    _, program, *argv = shlex.split(script)
    command, args = cli.parse(argv)
    assert (program, command, args.shard) == ('mmcrowd', 'infer', (15, spec['completions']))


def test_engines():
    """The page names the command that runs the recipes below, which needs what they import."""
    page = (REPO / 'docs/large_jobs.md').read_text(encoding='utf-8')
    assert '`make test-recipes`' in page
    makefile = (REPO / 'Makefile').read_text(encoding='utf-8')
    rule = makefile.partition('\ntest-recipes:')[2].partition('\n\n')[0]
    assert '$(engines)' in rule and Path(__file__).relative_to(REPO).as_posix() in rule
    lines = (REPO / 'requirements/engines.txt').read_text(encoding='utf-8').splitlines()
    names = [Requirement(line).name for line in lines if not line.startswith('#')]
    assert names == ['ray', 'pyspark']
    for name in names:
        assert re.search(rf'^(import|from) {name}\b', block('python', name), re.M)


def test_torchrun(photos, load_tool, capfd):
    """Two processes, as a user starts them."""
    line = block('bash', 'torchrun').splitlines()[0].replace(' 4 ', ' 2 ')
    program, *words = shlex.split(line.replace('tools/', f'{REPO}/tools/'))
    assert program == 'torchrun'
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', *words],
        env=dict(os.environ, PYTHONPATH=str(REPO), OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES=''),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert times_counted(Path('out')) == {f'000/00000{k}.png': 1 for k in range(3)}
    summaries = [json.loads(path.read_text()) for path in sorted(Path('out').glob('summary-*'))]
    assert [each['shard'] for each in summaries] == ['0/2', '1/2']
    assert sum(each['bad'] for each in summaries) == 1
    load_tool('infer.py').main(['--out-dir', 'out', '--to-csv'])
    total = json.loads(capfd.readouterr().out)
    assert (total['images'], total['bad'], Path('out/_SUCCESS').exists()) == (3, 1, True)


def test_what_the_command_refuses(photos, load_tool):
    main = load_tool('infer.py').main
    for argv, message in [
        (['--out-dir', 'out'], 'nothing to do'),
        (['photos', '--out-dir', 'out', '--shard', '0/2', '--to-csv'], 'csv of one shard of 2'),
    ]:
        with pytest.raises(ValueError, match=message):
            main(argv)
    with pytest.raises(SystemExit, match='2'):
        main(['photos', '--out-dir', 'out', '--shard', '2/2'])


def test_a_signal_is_the_status(photos, monkeypatch):
    monkeypatch.setattr(infer, 'JobImages', StoppedImages)
    command, args = cli.parse(['infer', 'photos', '--out-dir', 'out', '--device', 'cpu'])
    with pytest.raises(SystemExit) as end:
        infer.run(args)
    assert (command, end.value.code) == ('infer', 143)


def check_counts(rows):
    rows = {Path(row['path']).name: row for row in rows}
    assert rows.keys() == {'000000.png', '000001.png', '000002.png', 'bad.png'}
    assert 'not a readable image' in rows['bad.png']['error']
    assert all(row['count'] >= 0 for name, row in rows.items() if name != 'bad.png')


def test_ray(photos, monkeypatch):
    ray = pytest.importorskip('ray', reason=ENGINES)
    parquet = pytest.importorskip('pyarrow.parquet', reason='needs requirements/parquet.txt')
    monkeypatch.setenv('PYTHONPATH', str(REPO))
    ray.init(num_cpus=2, include_dashboard=False)
    try:
        exec(block('python', 'import ray'), {'__name__': '__main__'})
    finally:
        ray.shutdown()
    check_counts(parquet.read_table('counts').to_pylist())


def has_java():
    """Whether Spark will find a Java, by the rule of its own scripts."""
    home = os.environ.get('JAVA_HOME')
    return bool(shutil.which('java', path=os.path.join(home, 'bin') if home else None))


def test_where_java_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path / 'bin'))
    monkeypatch.delenv('JAVA_HOME', raising=False)
    assert not has_java()
    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin' / 'java').touch(0o755)
    assert has_java()
    # A home without one is an error of Spark's, though there is another Java on the path.
    monkeypatch.setenv('JAVA_HOME', str(tmp_path / 'home'))
    assert not has_java()
    monkeypatch.setenv('JAVA_HOME', str(tmp_path))
    monkeypatch.setenv('PATH', '')
    assert has_java()


def test_spark(photos, monkeypatch):
    pytest.importorskip('pyspark', reason=ENGINES)
    if not has_java():
        pytest.skip('needs a Java, 17 or later, on PATH or in JAVA_HOME')
    monkeypatch.setenv('PYSPARK_PYTHON', sys.executable)
    monkeypatch.setenv('PYTHONPATH', str(REPO))
    names = {'__name__': '__main__'}
    exec(block('python', 'SparkSession'), names)
    try:
        check_counts([row.asDict() for row in names['spark'].read.parquet('counts').collect()])
    finally:
        names['spark'].stop()
