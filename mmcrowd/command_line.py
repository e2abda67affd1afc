"""How the tools of the command line end."""

import ast
import io
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

PACKAGE = Path(__file__).resolve().parent

# A loader worker hands its error on as the text of its traceback.
WORKER_ERROR = re.compile(r'Caught \w+ in DataLoader worker process \d+\.\nOriginal Traceback')
FRAME = re.compile(r'^  File "(?P<file>.+)", line \d+, in .+\n +(?P<line>.*)\n', re.MULTILINE)
LAST_LINES = re.compile(r'^(?P<type>\w[\w.]*): (?P<message>.*)', re.MULTILINE | re.DOTALL)


def run(main: Callable[[], None]) -> None:
    """Run the ``main`` of a tool; an error of its input ends it with a sentence, not a traceback.

    Errors of the input are those that mmcrowd or the tool raises itself, since these say what is
    wrong with which file or key, and those of the system about a file that the command line names.
    The sentence goes to stderr, and the exit status is 1. Any other error keeps its traceback, and
    all of them do in Python's development mode: ``python -X dev tools/train.py ...``. An error that
    is raised in a worker process of a data loader ends it alike. Where the reader of stdout has
    gone, the status is 1 without a word. Ctrl-C is no error: the process ends by the signal, as a
    shell expects of it, with a word and without a traceback.

    Args:
        main: Function of the tool's script.
    """
    for stream in (sys.stdout, sys.stderr):
        # Redirected, it may have an encoding that lacks what a name or a table has.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    try:
        main()
        print(end='', flush=True)
    except KeyboardInterrupt:
        if not sys.flags.dev_mode:
            sys.excepthook = lambda *_: print(f'{_name()}: stopped by Ctrl-C', file=sys.stderr)
        raise
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _has_no_reader(sys.stdout):
            # `| head` has seen enough. The rest goes nowhere, or Python would complain at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        tools = Path(main.__code__.co_filename).resolve().parent
        file, line, message = _read_worker_error(error) or _read_error(error)
        is_own = any(Path(file).resolve().is_relative_to(folder) for folder in (PACKAGE, tools))
        on_purpose = is_own and line.startswith('raise')
        if sys.flags.dev_mode or not (on_purpose or _is_about_given_file(error)):
            raise
        sys.exit(f'{_name()}: error: {message}')


def _name() -> str:
    """Of the program that runs."""
    script = Path(sys.argv[0])
    # That of `python -m PACKAGE` is called __main__.py.
    return script.parent.name if script.stem == '__main__' else script.name


def _has_no_reader(stream: TextIO) -> bool:
    try:
        print(file=stream, flush=True)
    except BrokenPipeError:
        return True
    return False


def _read_error(error: Exception) -> tuple[str, str, str]:
    """File and line of the source that raised an error, and its message."""
    origin = traceback.extract_tb(error.__traceback__)[-1]
    # The text of a KeyError is the repr of its message.
    message = error.args[0] if isinstance(error, KeyError) and error.args else error
    return origin.filename, origin.line or '', str(message)


def _read_worker_error(error: Exception) -> tuple[str, str, str] | None:
    """The same of an error that a loader worker has handed on; None if it is of another kind."""
    text = str(error.args[0]) if error.args else ''
    frames = list(FRAME.finditer(text)) if WORKER_ERROR.match(text) else []
    last = LAST_LINES.search(text, frames[-1].end()) if frames else None
    if last is None:
        return None
    message = last['message'].rstrip('\n')
    if last['type'] == 'KeyError' and message[0] in '"\'':  # the repr of its message
        message = ast.literal_eval(message)
    return frames[-1]['file'], frames[-1]['line'], str(message)


def _is_about_given_file(error: Exception) -> bool:
    if isinstance(error, OSError) and error.filename is not None:
        given = [part for word in sys.argv[1:] for part in (word, word.partition('=')[2])]
        if any(_belong_together(str(error.filename), part) for part in given if part):
            return True
    return False


def _belong_together(file: str, given: str) -> bool:
    """Whether a file is the one that is given, its folder, in it, or begins like it.

    The last is the temporary name of a file to be written.
    """
    file, given = os.path.abspath(file), os.path.abspath(given)
    if os.path.dirname(file) == file or os.path.dirname(given) == given:  # all is below a root
        return False
    in_other = Path(file).is_relative_to(given) or Path(given).is_relative_to(file)
    return in_other or file.startswith(given)
