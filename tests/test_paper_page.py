"""docs/paper.md leads to the config of every experiment."""

import re
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
PAGE = REPO / 'docs' / 'paper.md'


def test_configs_exist_and_no_ablation_is_left_out():
    named = set(re.findall(r'\.\./(configs/[^)\s]+\.py)', PAGE.read_text(encoding='utf-8')))
    missing = sorted(name for name in named if not (REPO / name).is_file())
    assert named and not missing, missing
    ablations = {path.relative_to(REPO).as_posix() for path in REPO.glob('configs/ablations/*.py')}
    assert ablations and not sorted(ablations - named), sorted(ablations - named)
