"""The commands of ``mmcrowd``, a file each, which is imported when the command is used.

A file has ``HELP``, one line; ``add_arguments(parser)``; and ``run(args)``. What several of them
share is in ``arguments.py``, which is no command: it has no ``HELP``.
"""
