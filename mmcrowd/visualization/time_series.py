"""A graph of counts over time."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mmcrowd.fileio.files import printable

from .palette import HELP_LINE, INK, SERIES

# A pause of so many usual distances is a gap in the line.
_GAP = 3.0
# Distances of marks on the axis, seconds.
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


def draw_time_series(
    times: np.ndarray, series: Mapping[str, np.ndarray], out: str | Path, title: str = ''
) -> None:
    """Draw counts over time, with the name of each line at its end.

    The first line is the whole, drawn dark over a tinted area; the others are its parts. Where
    nothing was counted for long, the lines have a gap.

    Args:
        times: Seconds, increasing, ``(n,)``, n > 0.
        series: Persons ``(n,)`` by name, the whole first.
        out: Picture to write.
        title: Defaults to none.
    """
    figure = Figure(figsize=(11, 4.2), layout='constrained')
    axes = figure.subplots()
    breaks = np.flatnonzero(_is_gap(times)) + 1
    drawn_times = np.insert(times.astype(np.float64), breaks, np.nan)
    marker = 'o' if len(times) <= 60 else None
    ends = []
    for number, (name, values) in enumerate(series.items()):
        color = INK if number == 0 else SERIES[(number - 1) % len(SERIES)]
        # Dashes tell apart what has the same colour again.
        style = '-' if number <= len(SERIES) else '--'
        drawn = np.insert(values.astype(np.float64), breaks, np.nan)
        axes.plot(drawn_times, drawn, style, color=color, lw=1.8, marker=marker, ms=3)
        if number == 0:
            axes.fill_between(drawn_times, drawn, color=INK, alpha=0.08, lw=0)
        ends.append((float(values[-1]), printable(name), color))
    axes.set_ylim(bottom=0, top=1.08 * max(1.0, *(v.max() for v in series.values())))
    length = max(times[-1] - times[0], 1.0)
    axes.set_xlim(times[0], times[0] + length)
    _name_ends(axes, ends)
    axes.set_xticks(_ticks(times[0], times[0] + length))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: clock_text(x)))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.set_xlabel('time (h:min:s)' if times[-1] >= 3600 else 'time (min:s)', color=INK)
    axes.set_ylabel('persons', color=INK)
    axes.grid(axis='y', color=HELP_LINE, alpha=0.3)
    axes.spines[['top', 'right']].set_visible(False)
    axes.tick_params(colors=INK)
    total = next(iter(series.values()))
    axes.set_title(
        f'{printable(title)}   mean {total.mean():.1f}, '
        f'highest {total.max():.1f} at {clock_text(times[total.argmax()], 1)}',
        loc='left',
        color=INK,
        fontsize=11,
        fontweight='bold',
        parse_math=False,
    )
    figure.savefig(out, dpi=120)


def clock_text(seconds: float, digits: int = 0) -> str:
    """Seconds as hours, minutes and seconds.

    Examples:
        >>> clock_text(75), clock_text(3600.26, 1), clock_text(59.96, 1)
        ('1:15', '1:00:00.3', '1:00.0')
    """
    units = round(seconds * 10**digits)
    whole, rest = divmod(units, 10**digits)
    minutes, secs = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    text = f'{hours}:{minutes:02d}:{secs:02d}' if hours else f'{minutes}:{secs:02d}'
    return f'{text}.{rest:0{digits}d}' if digits else text


def _is_gap(times: np.ndarray) -> np.ndarray:
    """Which of the distances between times, ``(n - 1,)``, are pauses."""
    steps = np.diff(times)
    return steps > _GAP * np.median(steps) if len(steps) > 1 else np.zeros(len(steps), bool)


def _ticks(start: float, end: float) -> np.ndarray:
    step = next((step for step in _STEPS if (end - start) / step <= 12), _STEPS[-1])
    return np.arange(np.ceil(start / step), np.floor(end / step) + 1) * step


def _name_ends(axes, ends: list[tuple[float, str, str]]) -> None:
    """Write names right of the lines' ends, moved up where they would overlap."""
    low, high = axes.get_ylim()
    least = 0.06 * (high - low)
    place = -np.inf
    for value, name, color in sorted(ends):
        place = max(value, place + least)
        axes.annotate(
            name,
            (1, place),
            xycoords=('axes fraction', 'data'),
            xytext=(6, 0),
            textcoords='offset points',
            color=color,
            va='center',
            fontsize=10,
            fontweight='bold',
            annotation_clip=False,
            parse_math=False,
        )
