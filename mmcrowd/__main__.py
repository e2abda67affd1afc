"""``python -m mmcrowd`` is the command ``mmcrowd``."""

from mmcrowd.cli import main

if __name__ == '__main__':
    main()
