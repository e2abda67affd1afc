import re

from mmcrowd.analysis.benchmarks import performance, processes


def test_table(load_tool, capsys):
    load_tool('benchmarks/processes.py').main(
        ['mmcrowd::pml_mcnn_shb', '--size', '32', '--steps', '1', '--rounds', '2']
    )
    head, one, two, ratio = capsys.readouterr().out.splitlines()[-4:]
    assert head == 'mmcrowd::pml_mcnn_shb: 1 x 32 x 32, fp32'
    assert one.startswith('1 process: ') and two.startswith('2 processes: ')
    assert re.fullmatch(r'ratio: \d+\.\d{3} \(\d+\.\d{3} to \d+\.\d{3}\)', ratio)


def test_ratio_is_that_of_the_rounds():
    """A round in which the machine is slow slows both."""
    rates = processes.Rates(one=[2.0, 1.0, 2.0], together=[3.0, 1.8, 4.0])
    assert rates.ratios == [1.5, 1.8, 2.0] and rates.ratio == 1.8
    assert performance.processes_text(rates) == (
        '2.000 images a second (1.000 to 2.000) in one process of one thread, '
        '3.000 (1.800 to 4.000) in two: **1.800x** (1.500 to 2.000), the median of 3 rounds and '
        'their range.'
    )
