"""Persistence of the peaks of maps: how far each falls before it meets a higher one.

It is the persistent homology of dimension 0 of the sets of cells above a falling threshold
(Edelsbrunner and Harer: *Computational Topology*, 2010), in whole arrays on the host: cells are
gathered into the basins of their peaks, and basins are joined over their highest saddles, many at a
time.
"""

from typing import NamedTuple

import numpy as np


class Features(NamedTuple):
    """Peaks of maps that meet a higher one, each of a positive persistence.

    They are in the order of the maps, and in a map by falling persistence.

    Attributes:
        map: ``(k,)`` int64, number of the map.
        birth: ``(k, 2)`` int64 cell (row, column) of the peak.
        death: ``(k, 2)`` int64 cell of the saddle where it meets a higher peak.
        persistence: ``(k,)`` difference of their values.
    """

    map: np.ndarray
    birth: np.ndarray
    death: np.ndarray
    persistence: np.ndarray


def peak_persistence(maps: np.ndarray) -> Features:
    """Find the peaks of maps and where they end.

    As the threshold falls, a group of cells that are connected over their edges begins at a peak
    and ends where it meets a group with a higher peak, and that peak alone goes on. All around the
    map is a frame that is higher than every cell. Of equal cells the later one, row by row, counts
    as higher, and a peak that ends at its own value is left out.

    Time is that of a sort of the cells and of the rounds in which basins are joined, 7 to 16 on
    noise. Only along a chain of falling peaks with rising saddles one peak ends in a round.

    Args:
        maps: ``(n, h, w)``, without NaN.

    Returns:
        The features of all maps.

    Raises:
        ValueError: It is not ``(n, h, w)``.

    Examples:
        The peak of 5 comes to the frame over 1, that of 3 to the other over 2.

        >>> rows = [[0, 0, 0, 0, 0], [1, 5, 2, 3, 0], [0, 0, 0, 0, 0]]
        >>> features = peak_persistence(np.array([rows]))
        >>> features.birth.tolist(), features.death.tolist(), features.persistence.tolist()
        ([[1, 1], [1, 3]], [[1, 0], [1, 2]], [4, 1])
    """
    maps = np.asarray(maps)
    if maps.ndim != 3:
        raise ValueError(f'maps have shape {maps.shape}, expected (n, h, w)')
    number, height, width = maps.shape
    values = maps.reshape(-1)
    rank = np.empty(values.size, np.int64)
    rank[np.argsort(values, kind='stable')] = np.arange(values.size)
    rank = np.append(rank, values.size + np.arange(number))  # of the frames
    cells = framed_cells(number, height, width)
    peak = highest_above(rank, cells)
    # Basins are numbered by the height of their peaks.
    peaks = np.flatnonzero(peak == np.arange(len(peak)))
    peaks = peaks[np.argsort(rank[peaks])]
    basin = np.empty(len(peak), np.int64)
    basin[peaks] = np.arange(len(peaks))
    basin = basin[peak]
    births, deaths = meetings(*saddles(rank, cells, basin), len(peaks))
    births = peaks[births]
    persistence = values[births] - values[deaths]
    births, deaths, persistence = (x[persistence > 0] for x in (births, deaths, persistence))
    place = births // (height * width)
    order = np.lexsort((births, -persistence, place))
    birth, death = (
        np.stack(np.divmod(cell[order] % (height * width), width), 1) for cell in (births, deaths)
    )
    return Features(place[order], birth, death, persistence[order])


def framed_cells(number: int, height: int, width: int) -> np.ndarray:
    """``(n, h + 2, w + 2)`` numbers of cells, map by map, with that of the map's frame around
    them; those of the frames come after all cells."""
    total = number * height * width
    cells = np.empty((number, height + 2, width + 2), np.int64)
    cells[:] = (total + np.arange(number))[:, None, None]
    cells[:, 1:-1, 1:-1] = np.arange(total).reshape(number, height, width)
    return cells


def highest_above(rank: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """The peak that each cell comes to if it goes to its highest neighbour, again and again."""
    best = cells[:, 1:-1, 1:-1].copy()
    for neighbour in (
        cells[:, :-2, 1:-1],
        cells[:, 2:, 1:-1],
        cells[:, 1:-1, :-2],
        cells[:, 1:-1, 2:],
    ):
        best = np.where(rank[neighbour] > rank[best], neighbour, best)
    return follow(np.append(best.reshape(-1), np.arange(best.size, len(rank))))


def follow(to: np.ndarray) -> np.ndarray:
    """Where each number ends up that goes on to ``to[number]`` until nothing changes."""
    while True:
        further = to[to]
        if np.array_equal(further, to):
            return to
        to = further


def saddles(
    rank: np.ndarray, cells: np.ndarray, basin: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two basins and the lower cell for each pair of neighbours that lie in different ones, by
    rising rank of that cell."""
    pairs = ((cells[:, :-1], cells[:, 1:]), (cells[:, :, :-1], cells[:, :, 1:]))
    first, second = (np.concatenate([pair[i].reshape(-1) for pair in pairs]) for i in (0, 1))
    apart = basin[first] != basin[second]
    first, second = first[apart], second[apart]
    lower = np.where(rank[first] < rank[second], first, second)
    order = np.argsort(rank[lower])
    return basin[first[order]], basin[second[order]], lower[order]


def meetings(
    first: np.ndarray, second: np.ndarray, saddle: np.ndarray, number: int
) -> tuple[np.ndarray, np.ndarray]:
    """Join basins over their highest saddles, until all of a map are one.

    A basin whose highest saddle leads to one with a higher peak ends there: above that saddle
    it has met nobody. At the highest saddle of all the lower of the two basins ends, so that each
    round ends some.

    Args:
        first: ``(e,)`` basins, numbered by rising height of their peaks.
        second: ``(e,)`` basins.
        saddle: ``(e,)`` cells where they meet, by rising height.
        number: How many basins there are.

    Returns:
        ``(k,)`` basins that end, and the cells where they do.
    """
    basins = np.arange(number)
    ends, places = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    while len(saddle):
        # Of what is assigned to the same place, the last stays.
        best = np.full((2, number), -1)
        for side, ids in zip(best, (first, second), strict=True):
            side[ids] = np.arange(len(ids))
        highest = best.max(0)
        open_ = np.flatnonzero(highest >= 0)
        over = highest[open_]
        other = first[over] + second[over] - open_
        lower = other > open_
        ends.append(open_[lower])
        places.append(saddle[over[lower]])
        joined = basins.copy()
        joined[ends[-1]] = other[lower]
        joined = follow(joined)
        first, second = joined[first], joined[second]
        apart = first != second
        first, second, saddle = first[apart], second[apart], saddle[apart]
    return np.concatenate(ends), np.concatenate(places)
