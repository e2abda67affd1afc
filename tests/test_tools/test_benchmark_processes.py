from mmcrowd.analysis.benchmarks import processes


def test_table(load_tool, capsys):
    load_tool('benchmarks/processes.py').main(
        ['mmcrowd::pml_mcnn_shb', '--size', '32', '--steps', '1', '--rounds', '2']
    )
    head, one, two, ratio = capsys.readouterr().out.splitlines()[-4:]
    assert head == 'mmcrowd::pml_mcnn_shb: 1 x 32 x 32, fp32'
    assert one.startswith('1 process: ') and two.startswith('2 processes: ')
    assert float(ratio.split()[1]) > 0


def test_ratio_is_that_of_the_rounds():
    """A round in which the machine is slow slows both."""
    rates = processes.Rates(one=[2.0, 1.0, 2.0], together=[3.0, 1.8, 4.0])
    assert rates.ratio == 1.8
