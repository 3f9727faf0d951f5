"""A programme cut into blocks of choices, so that few of its rows hold choices of two blocks.

The choices that share a row are neighbours. They are ordered by their way from one end of each connected
part to the other and halved, and so are the halves, until every block is small [1]_: in a town a cut runs
across a few alleys.

References
----------
.. [1] A. George and J. W. H. Liu, "Computer Solution of Large Sparse Positive Definite Systems",
   Prentice-Hall 1981, chapters 4 and 7: level structures from a peripheral node.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, connected_components

__all__ = ["blocks_of"]

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

LONG = 200  # choices in one row, a count of all, say: it makes nobody neighbours


def blocks_of(
    matrix: sparse.csr_array, choices: BoolArray, fixed: BoolArray, most: int
) -> tuple[IntArray, IntArray]:
    """The block of each variable, −1 for fixed ones, and of each row, −1 for one that holds several or none.

    Parameters
    ----------
    matrix : csr_array, shape (m, n)
        Rows of the programme.
    choices, fixed : (n,) array of bool
        The variables that are cut apart, and those that are in no block. The others go where most of the
        choices of their rows are.
    most : int
        Choices in one block.

    Returns
    -------
    (n,) array, (m,) array
    """
    rows = sparse.csr_array((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)
    chosen = sparse.csr_array(rows[:, choices])
    rows, chosen = (each[np.diff(chosen.indptr) <= LONG] for each in (rows, chosen))
    label = _halved(sparse.csr_array(chosen.T @ chosen), most)
    block = np.full(matrix.shape[1], -1)
    block[choices] = label
    others = ~choices & ~fixed
    once = np.ones(len(label)), (np.arange(len(label)), label)
    member = sparse.csr_array(once, shape=(len(label), label.max(initial=0) + 1))
    block[others] = sparse.csr_array(rows[:, others].T @ (chosen @ member)).argmax(axis=1)
    return block, _rows_of(matrix, block)


def _rows_of(matrix: sparse.csr_array, block: IntArray) -> IntArray:
    row, column = matrix.tocoo().coords
    free = block[column] >= 0
    first, last = np.full(matrix.shape[0], len(block)), np.full(matrix.shape[0], -1)
    np.minimum.at(first, row[free], block[column[free]])
    np.maximum.at(last, row[free], block[column[free]])
    return np.where(first == last, first, -1)


def _halved(graph: sparse.csr_array, most: int) -> IntArray:
    """Labels of the nodes, 0, 1 …, each for at most so many."""
    label, n = np.empty(graph.shape[0], dtype=np.int64), 0
    left = [np.arange(graph.shape[0])]
    while left:
        nodes = left.pop()
        if len(nodes) <= most:
            label[nodes] = n
            n += 1
            continue
        order = nodes[_from_end_to_end(graph[nodes][:, nodes])]
        left += [np.sort(half) for half in np.array_split(order, 2)]
    return label


def _from_end_to_end(graph: sparse.csr_array) -> IntArray:
    """The nodes part after part, each from one of its ends."""
    _, part = connected_components(graph, directed=False)
    _, end = np.unique(part, return_index=True)
    for _ in range(2):
        reached = _breadth_first(graph, end)
        _, last = np.unique(part[reached[::-1]], return_index=True)
        end = reached[::-1][last]
    rank = np.empty(len(part), dtype=np.int64)
    rank[_breadth_first(graph, end)] = np.arange(len(part))
    return np.lexsort((rank, part))


def _breadth_first(graph: sparse.csr_array, starts: IntArray) -> IntArray:
    """All nodes by their distance from the next start."""
    n = graph.shape[0]
    once = np.ones(len(starts)), (np.zeros(len(starts), dtype=np.int64), starts)
    root = sparse.csr_array(once, shape=(1, n))
    wide = sparse.csr_array(sparse.block_array([[graph, root.T], [root, None]]))
    return breadth_first_order(wide, n, return_predecessors=False)[1:]
