"""What is wrong with the input of a tool is a sentence, what is wrong with the tool a traceback."""

import ast
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from torch.utils.data import DataLoader, Dataset

from mmcrowd import command_line
from mmcrowd.fileio.files import read_json

TOOLS = Path(__file__).parents[2] / 'tools'
CONFIG = 'configs/pml_resnet18_synthetic.py'


def told(monkeypatch, main, *argv):
    """The sentence with which a main ends."""
    monkeypatch.setattr(sys, 'argv', ['folder/tool.py', *map(str, argv)])
    with pytest.raises(SystemExit) as ended:
        command_line.run(main)
    assert isinstance(ended.value.code, str)  # printed to stderr, with status 1
    assert ended.value.code.startswith('tool.py: error: ')
    return ended.value.code.removeprefix('tool.py: error: ')


def test_errors_that_are_raised_on_purpose(monkeypatch, tmp_path):
    (tmp_path / 'a.json').write_text('{')
    sentence = told(monkeypatch, lambda: read_json(tmp_path / 'a.json'))
    assert sentence.startswith(f'{tmp_path / "a.json"}: not valid JSON')

    def main():
        raise KeyError(
            'no such key'
        )  # fmt: skip

    assert told(monkeypatch, main) == 'no such key'


def test_the_name_of_a_package(monkeypatch, tmp_path):
    (tmp_path / 'a.json').write_text('{')
    monkeypatch.setattr(sys, 'argv', ['folder/mmcrowd/__main__.py'])
    with pytest.raises(SystemExit, match='^mmcrowd: error: '):
        command_line.run(lambda: read_json(tmp_path / 'a.json'))


@pytest.mark.skipif(os.name == 'nt', reason='signals as on POSIX systems')
@pytest.mark.parametrize('as_module', [False, True])
def test_ctrl_c(as_module, tmp_path):
    """No traceback, and the shell sees that it was the signal."""
    (tmp_path / 'waiting.py').write_text(
        'import signal, time\n'
        'from mmcrowd import command_line\n'
        # As in a terminal; what a script starts in the background ignores it.
        'signal.signal(signal.SIGINT, signal.default_int_handler)\n'
        'def main():\n    print(1, flush=True)\n    time.sleep(100)\n'
        "if __name__ == '__main__':\n    command_line.run(main)\n"
    )
    words = ['-m', 'waiting'] if as_module else [str(tmp_path / 'waiting.py')]
    pipe = subprocess.PIPE
    environment = dict(os.environ, PYTHONPATH=f'{TOOLS.parent}{os.pathsep}{tmp_path}')
    with subprocess.Popen(
        [sys.executable, *words], stdout=pipe, stderr=pipe, env=environment
    ) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read().decode() == 'waiting.py: stopped by Ctrl-C\n'
    assert process.returncode == -signal.SIGINT


@pytest.mark.parametrize('lines', [1, 10_000])
def test_a_reader_that_has_gone(lines):
    """Whether the output fits into a buffer, so that it is written at the end, or not."""
    code = 'import sys; from mmcrowd import command_line; sys.stdin.read(); '
    code += f'command_line.run(lambda: print(*range({lines}), sep=chr(10)))'
    pipe = subprocess.PIPE
    command = [sys.executable, '-c', code]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == b''
    assert process.returncode == 1


class Broken(Dataset):
    """A dataset whose items fail in different ways."""

    def __init__(self, call):
        self.call = call

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.call()


def fetch(call):
    """Load with a worker process."""
    next(iter(DataLoader(Broken(call), num_workers=1)))


def lines_of_problems():
    raise ValueError('2 problems:\n- a.txt\n- b.txt')


def missing_key():
    raise KeyError("image 'a': no key")


def test_errors_of_a_loader_worker(monkeypatch, tmp_path):
    file = tmp_path / 'a.json'
    file.write_text('{')
    sentence = told(monkeypatch, lambda: fetch(partial(read_json, file)))
    assert sentence == told(monkeypatch, lambda: read_json(file))
    assert told(monkeypatch, lambda: fetch(lines_of_problems)).endswith(
        'problems:\n- a.txt\n- b.txt'
    )
    assert told(monkeypatch, lambda: fetch(missing_key)) == "image 'a': no key"
    with pytest.raises(
        ValueError, match=r'worker process 0.\nOriginal Traceback(.|\n)*invalid literal'
    ):
        told(monkeypatch, lambda: fetch(partial(int, 'a')))


def test_files_of_the_command_line(monkeypatch, tmp_path):
    gone = tmp_path / 'gone.json'
    assert str(gone) in told(monkeypatch, lambda: read_json(gone), gone)
    assert str(gone) in told(monkeypatch, lambda: read_json(gone), f'--results={gone}')
    partial = f'{gone}/a.partial'
    assert str(gone) in told(monkeypatch, lambda: open(partial, 'w', encoding='utf-8'), gone)


def test_files_that_the_command_line_does_not_name_are_bugs(monkeypatch):
    def main():
        open(os.path.join(os.sep, 'proc', 'nothing'), encoding='utf-8')

    with pytest.raises(FileNotFoundError):
        told(monkeypatch, main, '--root', os.sep)


@pytest.mark.parametrize(
    'main, error',
    [
        (lambda: read_json('no/file/of/the/user.json'), FileNotFoundError),
        (lambda: int('a'), ValueError),
        (lambda: [].pop(), IndexError),
        (lambda: dict()['a'], KeyError),
        (lambda: None.a, AttributeError),
        (lambda: (lambda a, b: 0)(*[1]), TypeError),
        (lambda: Path(b'a'), TypeError),
    ],
)
def test_bugs_keep_their_traceback(monkeypatch, main, error):
    monkeypatch.setattr(sys, 'argv', ['tool.py', 'results.json', ''])
    with pytest.raises(error):
        command_line.run(main)


def test_all_tools_end_like_that():
    tools = [path for path in TOOLS.rglob('*.py') if '\ndef main(' in path.read_text('utf-8')]
    assert len(tools) > 15
    for path in tools:
        assert path.read_text('utf-8').endswith('    command_line.run(main)\n'), path


def test_tools_hold_nothing_else():
    """What a test or another tool may want to import is in the package."""
    for path in TOOLS.rglob('*.py'):
        _, *body, guard = ast.parse(path.read_text('utf-8')).body
        imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
        others = [getattr(node, 'name', None) for node in body if node not in imports]
        assert others in (['parse_args', 'main'], ['main']) and isinstance(guard, ast.If), path


def test_as_a_user_sees_it(tmp_path):
    command = [sys.executable, TOOLS / 'train.py', tmp_path / 'gone.py']
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (1, '')
    assert done.stderr == f'train.py: error: no config file {tmp_path}/gone.py\n'


@pytest.mark.parametrize(
    'tool, argv, sentence',
    [
        ('train.py', ['BASELESS'], 'baseless.py: there is no '),
        ('train.py', [CONFIG, '--resume', 'GONE'], 'no checkpoint file GONE: put it there'),
        ('train.py', [CONFIG, '--cfg-options', 'load_from=GONE'], 'no checkpoint file GONE: put'),
        ('train.py', [CONFIG, '--cfg-options', 'load_from=URL'], 'cannot download URL ('),
        ('train.py', [CONFIG, '--cfg-options', 'fold=3'], '--cfg-options fold changes nothing'),
        ('test.py', ['GONE.py', 'a.pth'], 'no config file GONE.py'),
        ('test.py', [CONFIG, 'GONE.pth'], 'no checkpoint file GONE.pth: put it there'),
        ('test.py', [CONFIG, 'URL'], 'cannot download URL ('),
        ('analysis_tools/analyze_errors.py', ['GONE'], 'GONE'),
        ('analysis_tools/benchmark_loader.py', ['GONE'], 'no *.jpg in GONE'),
        ('analysis_tools/benchmark_train_step.py', ['GONE'], 'no config file GONE'),
        ('analysis_tools/compare_losses.py', ['GONE', '--work-dir', 'WORK'], 'no config file GONE'),
        ('analysis_tools/cross_validate.py', ['GONE', '--work-dir', 'WORK'], 'no config file GONE'),
        ('analysis_tools/cross_validate.py', [CONFIG, '--work-dir', 'WORK'], CONFIG),
        ('analysis_tools/draw_loss.py', ['GONE'], 'no config file GONE'),
        ('analysis_tools/draw_loss.py', [CONFIG, '--index', '900'], '--index 900: the data set'),
        ('analysis_tools/eval_predictions.py', ['GONE', 'GONE'], 'GONE'),
        ('analysis_tools/plot_curves.py', ['GONE'], 'no log */vis_data/scalars.json in GONE'),
        ('dataset_converters/convert_annotations.py', ['csv', 'a.csv', 'GONE'], 'GONE'),
        ('dataset_converters/prepare.py', ['shb', '--data-root', 'GONE'], 'GONE'),
        ('misc/browse_dataset.py', ['GONE', '--out-dir', 'WORK'], 'no config file GONE'),
        ('misc/dataset_stats.py', ['GONE'], 'no config file GONE'),
        ('model_converters/mcnn_from_h5.py', ['GONE', 'WORK/a.pth'], 'no file GONE'),
        ('model_converters/vgg16_from_hed.py', ['GONE', 'WORK/a.pth'], 'GONE'),
    ],
)
def test_files_that_are_not_there(load_tool, monkeypatch, tmp_path, tool, argv, sentence):
    (tmp_path / 'baseless.py').write_text("_base_ = 'gone.py'")
    names = dict(
        URL='http://127.0.0.1:9/a.pth',  # the discard port: nothing listens there
        GONE=str(tmp_path / 'gone'),
        BASELESS=str(tmp_path / 'baseless.py'),
        WORK=str(tmp_path / 'work'),
    )

    def filled(text):
        for name, value in names.items():
            text = text.replace(name, value)
        return text.replace('configs/', f'{TOOLS.parent}/configs/')

    monkeypatch.setenv('no_proxy', '127.0.0.1')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.syspath_prepend((TOOLS / tool).parent)  # convert_annotations has a sibling
    main = load_tool(tool).main
    assert filled(sentence) in told(monkeypatch, main, *map(filled, argv))
    assert not (tmp_path / 'work').exists()
