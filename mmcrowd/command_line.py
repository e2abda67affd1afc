"""How the tools of the command line end."""

import io
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def run(main: Callable[[], None]) -> None:
    """Run the ``main`` of a tool; an error of its input ends it with a sentence, not a traceback.

    Errors of the input are those that mmcrowd or the tool raises itself, since these say what is
    wrong with which file or key, and those of the system about a file that the command line names.
    The sentence goes to stderr, and the exit status is 1. Any other error keeps its traceback, and
    all of them do in Python's development mode: ``python -X dev tools/train.py ...``.

    Args:
        main: Function of the tool's script.
    """
    for stream in (sys.stdout, sys.stderr):
        # Redirected, it may have an encoding that lacks what a name or a table has.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    try:
        main()
    except Exception as error:
        tools = Path(main.__code__.co_filename).resolve().parent
        if sys.flags.dev_mode or not _is_of_input(error, tools):
            raise
        # The text of a KeyError is the repr of its message.
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        sys.exit(f'{Path(sys.argv[0]).name}: error: {message}')


def _is_of_input(error: Exception, tools: Path) -> bool:
    if isinstance(error, OSError) and error.filename is not None:
        given = [part for word in sys.argv[1:] for part in (word, word.partition('=')[2])]
        if any(_belong_together(str(error.filename), part) for part in given if part):
            return True
    origin = traceback.extract_tb(error.__traceback__)[-1]
    path = Path(origin.filename).resolve()
    is_own = path.is_relative_to(PACKAGE) or path.is_relative_to(tools)
    return is_own and (origin.line or '').startswith('raise')


def _belong_together(file: str, given: str) -> bool:
    """Whether a file is the one that is given, its folder, in it, or begins like it.

    The last is the temporary name of a file to be written.
    """
    file, given = os.path.abspath(file), os.path.abspath(given)
    if os.path.dirname(file) == file or os.path.dirname(given) == given:  # all is below a root
        return False
    in_other = Path(file).is_relative_to(given) or Path(given).is_relative_to(file)
    return in_other or file.startswith(given)
