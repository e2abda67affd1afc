import json

import pytest


def test_quick_on_the_cpu(load_tool, tmp_path, capsys):
    out = tmp_path / 'benchmark.json'
    load_tool('benchmarks/gpu.py').main(['--device', 'cpu', '--quick', '--out', str(out)])
    content = json.loads(out.read_text(encoding='utf-8'))
    losses = {m['name']: m for m in content['measurements'] if m['kind'] == 'loss'}
    assert set(losses) == {'PML, partition given', 'PML', 'PML, dense', 'DM-Count', 'GL'}
    ratio = losses['GL']['milliseconds'] / losses['PML']['milliseconds']
    assert content['times_of_pml']['9 points']['GL'] == pytest.approx(ratio)
    counters = [m for m in content['measurements'] if m['kind'] != 'loss']
    assert [(m['variant'], m['kind']) for m in counters] == [
        (variant, kind)
        for variant in ('fp32', 'channels_last', 'bf16', 'fp16')
        for kind in ('train', 'inference')
    ]
    for m in counters:
        assert (m['note'] == 'of CUDA only') == (m['variant'] == 'fp16')
        assert (m['milliseconds'] is None) == (m['variant'] == 'fp16')
        assert m['mebibytes'] is None and (m['batch_size'], m['size']) == (2, 64)
    printed = capsys.readouterr().out
    assert 'pml_mcnn_shb.py' in printed and f'GL {ratio:.2f}; published GL: 3.46' in printed


def test_no_counter_is_begun_after_the_time(load_tool, tmp_path):
    out = tmp_path / 'benchmark.json'
    options = ['--device', 'cpu', '--quick', '--minutes', '0', '--out', str(out)]
    load_tool('benchmarks/gpu.py').main(options)
    content = json.loads(out.read_text(encoding='utf-8'))
    assert content['left_out'] == ['pml_mcnn_shb.py']
    assert {m['kind'] for m in content['measurements']} == {'loss'}
