"""The rows of one layer as messages call them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spatial.errors import Remark

__all__ = ["Rows"]


@dataclass(frozen=True)
class Rows:
    """What each row of a layer is called: its id, else its place in the file, ``row 1`` first."""

    layer: str
    labels: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.labels)

    def tell(
        self,
        make: Callable[..., Remark],
        code: str,
        concerned: NDArray[np.bool_],
        message: str,
        *,
        column: str = "",
        remedy: str = "",
    ) -> list[Remark]:
        """One remark on the rows concerned, with their number in front; none where there are none."""
        if not concerned.any():
            return []
        text = f"{int(concerned.sum()):,} of {len(self):,} {message}"
        ids = self.labels[concerned]
        return [make(code, text, layer=self.layer, column=column, ids=ids, remedy=remedy)]
