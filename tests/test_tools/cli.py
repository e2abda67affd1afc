"""Run a tool as a user does, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]


def run_tool(name: str, *args, data_root) -> str:
    """What ``tools/{name}`` prints; an assertion fails if the tool does."""
    tool = str(REPO / 'tools' / name)
    command = [tool] if name.endswith('.sh') else [sys.executable, tool]
    done = subprocess.run(
        [*command, *map(str, args)],
        env={
            **os.environ,
            'MMCROWD_DATA_ROOT': str(data_root),
            'PYTHONPATH': str(REPO),
            'PYTHON': sys.executable,
        },
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr
