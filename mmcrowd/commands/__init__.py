"""The commands of ``mmcrowd``, a file each, which is imported when the command is used.

A file has ``HELP``, one line; ``add_arguments(parser)``; and ``run(args)``.
"""
