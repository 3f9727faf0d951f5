"""Branches and workers recounted: unions of neighbouring grids, balanced, workers inside one branch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import KDTree

from spatial.audit.book import Book
from spatial.audit.compare import rows_that
from spatial.audit.roster import Roster
from spatial.errors import Remark, fault

__all__ = ["level_faults", "uneven_unions"]

SHARE_OFF = 0.1  # of the mean

Ints = NDArray[np.int64]


def level_faults(book: Book, roster: Roster) -> Iterator[Remark]:
    """Branches and workers that are not in one piece, and workers of several branches.

    Grids are neighbours where their grounds meet along the alleys; parts that no alley joins are
    neighbours across the shortest straight lines that connect them all.
    """
    grids = book.layers["grids"]
    graph = _grid_graph(roster)
    for column in ("branch_id", "worker_id"):
        union = grids[column].to_numpy(np.int64, na_value=-1)
        same = sparse.coo_array(graph)
        kept = union[same.row] == union[same.col]
        inside = sparse.coo_array(
            (np.ones(int(kept.sum())), (same.row[kept], same.col[kept])), shape=graph.shape
        )
        _, piece = csgraph.connected_components(inside, directed=False)
        numbers = np.unique(union)
        n_pieces = np.array([np.unique(piece[union == each]).size for each in numbers])
        yield from rows_that(
            n_pieces > 1, numbers, "union-in-pieces", "are not in one piece", at=f"grids.{column}"
        )
        yield from rows_that(union < 1, grids["grid_id"], "union-missing", "have none", at=f"grids.{column}")
    yield from _number_faults(book)
    if book.settings.grids.nest_workers:
        branches = grids.groupby("worker_id")["branch_id"].nunique()
        text = "work in several branches"
        yield from rows_that(branches > 1, branches.index, "worker-astray", text, at="grids.worker_id")


def _number_faults(book: Book) -> Iterator[Remark]:
    """As many branches and workers as asked for, or as there are grids; each branch has a worker."""
    limits, grids = book.settings.grids, book.layers["grids"]
    wanted = {"branch_id": min(limits.n_branches, len(grids)), "worker_id": min(limits.n_workers, len(grids))}
    if limits.nest_workers:
        wanted["worker_id"] = max(wanted.values())
    for column, n in wanted.items():
        numbers = np.unique(grids[column].dropna().to_numpy(np.int64))
        if not np.array_equal(numbers, np.arange(1, n + 1)):
            text = f"numbers should run from 1 to {n}, found {', '.join(map(str, numbers[:20]))}"
            yield fault("figure-differs", text, layer="grids", column=column)


def uneven_unions(book: Book, column: str) -> list[str]:
    """Branches or workers farther from the mean households than a tenth of it and than the largest grid."""
    grids = book.layers["grids"]
    total = grids.groupby(column)["households"].sum()
    allowed = max(SHARE_OFF * total.mean(), float(grids["households"].max()))
    return [str(each) for each in total.index[(total - total.mean()).abs() > allowed + 1e-9]]


def _grid_graph(roster: Roster) -> sparse.csr_array:
    """Which grids are neighbours, bool (K, K)."""
    links = _straight_links(roster)
    shape = (roster.n_grids, roster.n_grids)
    across = sparse.coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=shape)
    return (roster.ground.neighbours() + across + across.T).astype(bool).tocsr()


def _straight_links(roster: Roster) -> Ints:
    """Pairs of grids joined by the shortest straight lines that connect all parts, grown from the first.

    Prim's algorithm between the doors of the parts; of equal lines any will do.
    """
    served = np.flatnonzero(roster.served)
    part = roster.stops.part[served]
    xy, links = roster.stops.point_xy[served], []
    inside = part == part[0]
    while not inside.all():
        tree = KDTree(xy[inside])
        away_m, at = tree.query(xy[~inside])
        nearest = int(np.argmin(away_m))
        new = np.flatnonzero(~inside)[nearest]
        links.append((roster.grid[served[new]], roster.grid[served[np.flatnonzero(inside)[at[nearest]]]]))
        inside |= part == part[new]
    return np.array(links, np.int64).reshape(-1, 2)
