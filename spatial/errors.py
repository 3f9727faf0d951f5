"""What can go wrong, and how it is told: one clear message with layer, column, ids and remedy.

Two kinds of telling. An *error* stops the run. A *remark* travels with the result:

- fault: something promised or required that does not hold,
- doubt: something that may be wrong and that a person should look at,
- note: a repair or a guess that was made, never in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "AlleyplanError",
    "DataError",
    "InfeasibleError",
    "Remark",
    "SolverError",
    "Spot",
    "by_kind",
    "doubt",
    "fault",
    "first_ids",
    "note",
    "one_line",
]

Kind = Literal["fault", "doubt", "note"]
#: A place to look at: what is there, x and y in the site's system.
Spot = tuple[str, float, float]


class AlleyplanError(Exception):
    """Base of every error a user can meet; ``exit_code`` is what the command ends with."""

    exit_code = 1


class DataError(AlleyplanError):
    """Input or settings that can't be right. Carries every fault found in one run.

    Parameters
    ----------
    message : str
        One sentence, or the headline above the faults.
    faults : sequence of str or Remark
        One sentence each, shown as a list below the headline.
    """

    exit_code = 2

    def __init__(self, message: str, faults: Sequence[str | Remark] = ()) -> None:
        self.faults = tuple(str(each) for each in faults)
        lines = "\n  - ".join((message, *self.faults)).split("\n")
        super().__init__("\n".join(map(_printable, lines)))


class InfeasibleError(AlleyplanError):
    """Sound input for which nothing at all can be planned."""


class SolverError(AlleyplanError):
    """The solver ended in a state that is no answer."""


@dataclass(frozen=True)
class Remark:
    """One fault, doubt or note: a stable ``code`` for programs, a sentence for people."""

    kind: Kind
    code: str  # kebab-case and stable: "ends-joined", "household-far"
    message: str  # one sentence, with the figures in it
    layer: str = ""
    column: str = ""
    ids: tuple[str, ...] = ()  # every row concerned, sorted
    remedy: str = ""
    spots: tuple[Spot, ...] = ()  # where it is, where that is a smaller place than the rows concerned

    def __str__(self) -> str:
        where = ".".join(each for each in (self.layer, self.column) if each)
        parts = [f"{where}: {self.message}" if where else self.message]
        if self.ids:
            parts.append(f"({first_ids(self.ids)})")
        if self.remedy:
            parts.append(f"– {self.remedy}")
        return " ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """The remark as it stands in ``summary.json``; its kind is the list it is in."""
        return {
            "code": self.code,
            "layer": self.layer,
            "column": self.column,
            "message": self.message,
            "n": len(self.ids),
            "ids": list(self.ids),
            "remedy": self.remedy,
        }


def fault(code: str, message: str, **where: Any) -> Remark:
    """A :class:`Remark` of kind fault; ``where`` takes layer, column, ids, remedy and spots."""
    return _remark("fault", code, message, **where)


def doubt(code: str, message: str, **where: Any) -> Remark:
    """A :class:`Remark` of kind doubt."""
    return _remark("doubt", code, message, **where)


def note(code: str, message: str, **where: Any) -> Remark:
    """A :class:`Remark` of kind note."""
    return _remark("note", code, message, **where)


def by_kind(remarks: Iterable[Remark]) -> dict[str, list[dict[str, Any]]]:
    """Notes, doubts and faults as they stand in JSON, each list in the order given."""
    told: dict[str, list[dict[str, Any]]] = {"notes": [], "doubts": [], "faults": []}
    for each in remarks:
        told[f"{each.kind}s"].append(each.to_json())
    return told


def first_ids(ids: Iterable[object], n: int = 5) -> str:
    """The first few ids, sorted, and how many more there are."""
    names = sorted(one_line(each) for each in ids)
    more = f" … and {len(names) - n} more" if len(names) > n else ""
    return ", ".join(names[:n]) + more


def one_line(value: object) -> str:
    """Text from data on one line of a terminal: no control characters, at most 60 characters."""
    text = _printable(str(value))
    return text if len(text) <= 60 else text[:59] + "…"


def _printable(text: str) -> str:
    """Names of files and columns can hold anything, also what a terminal obeys or no file can store."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else " " if each.isspace() else "�" for each in text)


def _remark(
    kind: Kind,
    code: str,
    message: str,
    *,
    layer: str = "",
    column: str = "",
    ids: Iterable[object] = (),
    remedy: str = "",
    spots: Iterable[Spot] = (),
) -> Remark:
    message, layer, column, remedy = map(_printable, (message, layer, column, remedy))
    return Remark(kind, code, message, layer, column, tuple(sorted(map(str, ids))), remedy, tuple(spots))
