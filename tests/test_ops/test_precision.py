from pathlib import Path

import pytest
import torch

from mmcrowd.ops.precision import at_least_float32, multiplies_bfloat16


@pytest.mark.skipif(not Path('/proc/cpuinfo').exists(), reason='needs the list of the Linux kernel')
def test_the_processor_is_what_the_system_says():
    flags = set(Path('/proc/cpuinfo').read_text(encoding='utf-8').split())
    assert multiplies_bfloat16(torch.device('cpu')) == bool(flags & {'avx512_bf16', 'amx_tile'})


@pytest.mark.parametrize(
    ('capability', 'answer'), [((7, 5), False), ((8, 0), True), ((9, 0), True)]
)
def test_gpus_since_ampere(capability, answer, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: capability)
    assert multiplies_bfloat16(torch.device('cuda:1')) is answer


def test_longer_types_stay():
    values = torch.ones(1, dtype=torch.double)
    assert at_least_float32(values) is values
    assert at_least_float32(values.half()).dtype == torch.float32


def test_compiles_to_one_graph():
    def double_or_not(values):
        return 2 * values if multiplies_bfloat16(values.device) else values

    compiled = torch.compile(double_or_not, fullgraph=True, backend='aot_eager')
    assert torch.equal(compiled(torch.ones(2)), double_or_not(torch.ones(2)))
