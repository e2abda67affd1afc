"""Run a tool as a user does, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]


def run_tool(name: str, *args, data_root) -> str:
    """What ``tools/{name}`` prints; an assertion fails if it does."""
    done = subprocess.run(
        [sys.executable, str(REPO / 'tools' / name), *map(str, args)],
        env={**os.environ, 'MMCROWD_DATA_ROOT': str(data_root), 'PYTHONPATH': str(REPO)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr
