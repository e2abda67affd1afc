"""The command mmcrowd, as a user runs it."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmcrowd import cli
from mmcrowd.apis.zoo import find_entry
from mmcrowd.commands import doctor


@pytest.fixture
def mmcrowd(monkeypatch, capsys):
    """Function that runs the command and gives what it prints; an error is a SystemExit."""

    def run(*argv):
        monkeypatch.setattr(sys, 'argv', ['mmcrowd', *map(str, argv)])
        cli.main()
        return capsys.readouterr().out

    return run


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / 'photo.png'
    rng = np.random.default_rng(0)
    cv2.imwrite(str(path), rng.integers(0, 256, (48, 64, 3), np.uint8))
    return path


def test_commands_have_a_line_of_help(mmcrowd, capsys):
    assert {'count', 'doctor', 'zoo'} <= set(cli.help_lines())
    with pytest.raises(SystemExit) as end:
        mmcrowd('--help')
    out = ' '.join(capsys.readouterr().out.split())
    assert end.value.code == 0
    assert all(f'{name} ' in out and text in out for name, text in cli.help_lines().items())
    with pytest.raises(SystemExit, match='2'):
        mmcrowd('cuont')
    assert "invalid choice: 'cuont'" in capsys.readouterr().err


def test_help_of_count_points_to_archives(mmcrowd, capsys):
    with pytest.raises(SystemExit, match='0'):
        mmcrowd('count', '--help')
    assert 'archives of very many images are for mmcrowd infer' in capsys.readouterr().out


def test_count(mmcrowd, photo, tmp_path):
    out = mmcrowd('count', photo, '--out-dir', tmp_path / 'out', '--device', 'cpu')
    entry = find_entry('default')
    (line,) = out.splitlines()
    assert line.startswith(f'{photo}: count ') and f'({entry.name}, {entry.test_errors()}' in line
    prediction = json.loads((tmp_path / 'out' / 'photo.json').read_text())
    assert f'count {prediction["count"]:.1f} ' in line
    assert cv2.imread(str(tmp_path / 'out' / 'photo.png')) is not None


def test_count_prints_json_or_csv(mmcrowd, photo, tmp_path):
    cv2.imwrite(str(tmp_path / 'second.png'), np.zeros((32, 32), np.uint8))
    lines = mmcrowd('count', photo, tmp_path / 'second.png', '--json').splitlines()
    predictions = [json.loads(line) for line in lines]
    assert [p['name'] for p in predictions] == ['photo', 'second']
    header, *rows = mmcrowd('count', f'{tmp_path}/*.png', '--csv').splitlines()
    assert header == 'name,img_path,width,height,count,points,notes,zones,model'
    assert [row.split(',')[4] for row in rows] == [str(p['count']) for p in predictions]
    assert {row.split(',')[-1] for row in rows} == {p['model'] for p in predictions}


def test_names_in_one_folder_are_those_of_a_call(mmcrowd, photo, tmp_path):
    for given in (tmp_path, f'{tmp_path}/*.png'):
        out = tmp_path / 'out'
        mmcrowd('count', given, '--out-dir', out, '--formats', 'nwpu', 'json', '--no-pictures')
        assert (out / 'count.txt').read_text().startswith('photo ')
        assert json.loads((out / 'photo.json').read_text())['name'] == 'photo'


@pytest.mark.parametrize('option', [['--formats', 'csv'], ['--no-pictures']])
def test_options_of_files_need_a_folder(mmcrowd, photo, option):
    with pytest.raises(SystemExit) as end:
        mmcrowd('count', photo, *option)
    message = f'{option[0]} without a folder for the files: name it by --out-dir'
    assert end.value.code == f'mmcrowd: error: {message}'


def test_count_with_bad_photos(mmcrowd, photo, tmp_path, capsys):
    (tmp_path / 'text.png').write_text('text')
    with pytest.raises(SystemExit) as end:
        mmcrowd('count', tmp_path / 'none.png', tmp_path, '--device', 'cpu')
    captured = capsys.readouterr()
    assert captured.out.startswith(f'{photo}: count ') and captured.out.count('\n') == 1
    message = str(end.value.code)
    assert message.startswith('mmcrowd: error: 2 of the photos could not be read:\n')
    assert f'  no image, folder or matching file: {tmp_path}/none.png\n' in message
    assert f'{tmp_path}/text.png: not a readable image (4 bytes)' in message
    with pytest.raises(SystemExit) as end:
        mmcrowd('count', tmp_path / 'text.png')
    assert end.value.code == f'mmcrowd: error: {tmp_path}/text.png: not a readable image (4 bytes)'
    with pytest.raises(SystemExit) as end:
        mmcrowd('count', photo, '--weights', tmp_path / 'none.pth')
    assert 'mmcrowd: error: no weights' in end.value.code


@pytest.mark.parametrize(
    'options, message',
    [
        ('--device cuda:99', "device='cuda:99' (--device): there is none here"),
        ('--device gpu', "device='gpu' (--device): there is none here"),
        ('--localizer Foo', "localizer='Foo' (--localizer), expected one of BlockMaximum, "),
        ('--localizer SlideInference', "localizer='SlideInference' (--localizer), expected one"),
        ('--max-pixels -5', 'max_pixels=-5, expected at least 1'),
        ('--max-pixels 0', 'max_pixels=0, expected at least 1'),
        ('--batch-size 0', 'batch_size=0, expected at least 1'),
    ],
)
def test_wrong_values_of_options(mmcrowd, photo, tmp_path, options, message):
    with pytest.raises(SystemExit) as end:
        mmcrowd('count', photo, *options.split())
    assert end.value.code.startswith(f'mmcrowd: error: {message}') and '\n' not in end.value.code
    with pytest.raises(SystemExit) as end:
        mmcrowd('infer', photo, '--out-dir', tmp_path / 'out', *options.split())
    assert end.value.code.startswith(f'mmcrowd: error: {message}')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('command', ['app', 'count', 'export', 'infer', 'video'])
def test_options_of_the_config(command, capsys):
    words = dict(count=['a'], export=['a'], infer=['--out-dir', 'a'], video=['a']).get(command, [])
    option = ['--cfg-options', 'model.inference.crop_size=1024', 'model.precision=bf16']
    _, args = cli.parse([command, *words, *option])
    assert args.cfg_options == {'model.inference.crop_size': 1024, 'model.precision': 'bf16'}
    assert args.model is None
    with pytest.raises(SystemExit, match='2'):
        cli.parse([command, *words, '--cfg-options', 'bf16'])
    assert '--cfg-options bf16: expected KEY=VALUE' in capsys.readouterr().err


def test_options_reach_the_counter(mmcrowd, photo):
    option = ('--cfg-options', 'model.inference.crop_size=1000')
    with pytest.raises(SystemExit, match='error: --cfg-options .*crop_size=1000 do not fit'):
        mmcrowd('count', photo, '--device', 'cpu', *option)


def test_zoo(mmcrowd):
    assert mmcrowd('zoo', 'list').startswith('pml_efficientnet_lite0_default  (default)\n')
    assert 'pml_hrnet_qnrf\n' in mmcrowd('zoo', 'list', '--all', 'pml_*')
    with pytest.raises(SystemExit, match=r"error: no model with weights matches 'hrnet': `--all`"):
        mmcrowd('zoo', 'list', 'hrnet')
    with pytest.raises(SystemExit, match=r"error: no model matches 'hrnet': `\*` stands for any"):
        mmcrowd('zoo', 'list', 'hrnet', '--all')
    info = mmcrowd('zoo', 'info')
    entry = find_entry('default')
    assert entry.sha256 in info and f'config:   {entry.config}' in info
    assert 'errors of the paper: UCF-QNRF: MAE' in mmcrowd('zoo', 'info', 'pml_hrnet_qnrf')
    assert mmcrowd('zoo', 'path') == f'{entry.fetch()}\n'
    with pytest.raises(SystemExit, match='comes without weights: `mmcrowd zoo list`'):
        mmcrowd('zoo', 'path', 'pml_hrnet_qnrf')


# ---------------------------------------------------------------------------------------- doctor


def test_doctor(mmcrowd):
    out = mmcrowd('doctor', '--device', 'cpu')
    assert len({module for _, module, _ in doctor.OPTIONAL}) == len(doctor.OPTIONAL)
    assert 'pml_efficientnet_lite0_default on cpu: 256 x 192 pixels of noise in' in out
    for requirement, module, _ in doctor.OPTIONAL:
        line = next(line for line in out.splitlines() if line.startswith(f'  optional  {module}: '))
        installed = find_spec(module) is not None
        assert line.endswith(f'pip install "{requirement}"') != installed
    assert 'mmengine: ' in out and 'cv2: ' in out and out.endswith('All is well.\n')


def test_doctor_imports_libvips(monkeypatch):
    def no_libvips(name):
        raise OSError("cannot load library 'libvips.so.42': no such file\nMore.")

    monkeypatch.setattr(doctor, '_version', lambda name: '3.1.1')
    monkeypatch.setattr(doctor, 'import_module', no_libvips)
    state = doctor.optional_state('pyvips[binary]', 'pyvips', 'reading')
    reason = "cannot load library 'libvips.so.42': no such file"
    assert state == f'3.1.1 does not load ({reason}); for reading: pip install "pyvips[binary]"'
    assert doctor.optional_state('av', 'av', 'mmcrowd video') == '3.1.1'


def test_doctor_says_what_is_missing(mmcrowd, monkeypatch, capsys):
    installed = dict(torch='2.14.1', mmengine='0.11.0rc3')
    installed['mmcv-lite'] = '2.2.0'
    monkeypatch.setattr(doctor, 'installed_versions', lambda: installed)
    with pytest.raises(SystemExit) as end:
        mmcrowd('doctor')
    assert '- torchvision>=0.21 is not installed: pip install "torch>=2.6"' in end.value.code
    assert 'mmpretrain>=1.2,<2 is not installed: pip install "mmpretrain>=1.2,<2"' in end.value.code
    assert 'mmpretrain: MISSING' in capsys.readouterr().out


def test_doctor_needs_nothing_itself():
    """It runs in an environment of Python alone."""
    code = 'import sys; sys.path.append(sys.argv[1]); sys.argv = ["mmcrowd", "doctor"]; '
    code += 'from mmcrowd.cli import main; main()'
    command = [sys.executable, '-I', '-S', '-c', code, str(Path(cli.__file__).parents[1])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    install = 'pip install "torch>=2.6" "torchvision>=0.21"'
    assert f'- torch>=2.6 is not installed: {install}\n' in done.stderr
    assert '- safetensors is not installed: pip install safetensors\n' in done.stderr
    assert 'numpy: MISSING' in done.stdout


@pytest.mark.parametrize(
    'changed, message',
    [
        (dict(mmpretrain='0.1'), 'mmpretrain 0.1 is installed; run `pip install'),
        (dict(torchvision='0.28.0'), 'are no pair'),
        ({'mmcv': '2.2.0'}, 'own the same module'),
    ],
)
def test_doctor_says_what_does_not_fit(changed, message, monkeypatch):
    fitting = {
        'torch': '2.14.1',
        'torchvision': '0.29.1',
        'mmengine': '0.11.0rc3',
        'mmcv-lite': '2.2.0',
        'mmpretrain': '1.2.0',
    }
    monkeypatch.setattr(doctor, 'installed_versions', lambda: fitting)
    assert list(doctor.missing_packages()) == []
    monkeypatch.setattr(doctor, 'installed_versions', lambda: fitting | changed)
    (problem,) = doctor.missing_packages()
    assert message in problem


def test_doctor_tells_of_a_model_that_does_not_run(monkeypatch):
    monkeypatch.setattr(doctor, 'import_module', lambda name: 1 / 0)
    (problem,) = doctor.failed_run('cpu')
    assert problem == 'the default model does not run (ZeroDivisionError: division by zero)'
    assert len(list(doctor.broken_modules())) == 2


def test_app_without_gradio(mmcrowd, monkeypatch):
    monkeypatch.setitem(sys.modules, 'gradio', None)  # as if it were not there
    with pytest.raises(SystemExit, match=r"needs gradio: run `pip install 'mmcrowd\[app\]'`"):
        mmcrowd('app')
