"""What a plan achieves, in words for paper: today, planned, and how good that provably is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

from spatial.report.words import word
from spatial.schema import Term
from spatial.settings import Settings

if TYPE_CHECKING:
    from spatial.plan import Plan

__all__ = ["Figure", "KeyFigure", "costs", "decision_rows", "key_figures", "percent"]

Section = Mapping[str, Any]
_NONE = Term("—", "")


@dataclass(frozen=True)
class KeyFigure:
    """A large number, what it counts, what more there is to say, and its proof."""

    number: str
    name: Term
    more: Term
    proof: Term


@dataclass(frozen=True)
class Figure:
    """A row of the decision sheet."""

    name: Term
    today: Term
    planned: Term
    proof: Term


def key_figures(plan: Plan) -> list[KeyFigure]:
    """Grids, light, lamps and boards, as far as they were planned."""
    settings = Settings.model_validate(plan.summary["settings"])
    found = []
    if lamps := plan.summary["lamps"]:
        lit = word("lit_before", m=round(lamps["lit_m"]), share=percent(_share_before(lamps)))
        found.append(
            KeyFigure(percent(lamps["share_lit"]), word("lit_of"), lit, _lamp_proof(lamps, settings))
        )
        beside = word("lamps_beside", n=lamps.get("n_existing", 0))
        found.append(KeyFigure(f"{lamps['n_chosen']:,}", word("lamps_of"), beside, _NONE))
    if grids := plan.summary["grids"]:
        size = word(
            "grids_size",
            least=settings.grids.min_households,
            most=settings.grids.max_households,
            share=percent(grids.get("feasible_share")),
        )
        found.append(KeyFigure(f"{grids['n']:,}", word("grids_of"), size, _proof(grids.get("gap"))))
    if boards := plan.summary["boards"]:
        near = word("boards_near", who=_who(boards, settings), walk=settings.boards.walk_m)
        found.append(KeyFigure(f"{boards['n_chosen']:,}", word("boards_of"), near, _proof(boards.get("gap"))))
    return found


def decision_rows(plan: Plan) -> list[Figure]:
    """The plan's figures beside doing nothing, as far as they were planned."""
    settings = Settings.model_validate(plan.summary["settings"])
    rows: list[Figure] = []
    if lamps := plan.summary["lamps"]:
        rows += _light_rows(lamps, settings)
    if boards := plan.summary["boards"]:
        rows.append(_board_row(plan, boards, settings))
    if grids := plan.summary["grids"]:
        rows += _grid_rows(grids)
    facilities = plan.summary.get("facilities") or {}
    rows += [_facility_row(name, each, settings) for name, each in facilities.items()]
    return rows


def costs(plan: Plan) -> list[Term]:
    """What new lamps and boards cost, as far as the data holds prices."""
    site = plan.site
    found = []
    for name, sites in (("lamps", "lamp_sites"), ("boards", "board_sites")):
        if name not in plan.layers:
            continue
        rows = plan.layers[name]
        new = rows[rows["status"] != "existing"]
        prices = site.layer(sites).set_index("site_id")["cost_cny"]
        known = new["site_id"].map(prices).astype("float64").dropna()
        values = {"what": word(name), "of": len(new), "known": len(known), "sum": float(known.sum())}
        key = "cost_known" if len(known) == len(new) else "cost_partly" if len(known) else "cost_unknown"
        found.append(word(key, **values))
    return found


def percent(share: float | None) -> str:
    """A share from 0 to 1 as a whole percentage, with a place where it is nearly none or nearly all."""
    if share is None:
        return "—"
    if 0.005 > share > 0 or 1 > share > 0.995:
        # never rounded to none or to all, which would say more than is so
        return f"{min(max(share, 0.001), 0.999):.1%}"
    return f"{share:.0%}"


def _light_rows(lamps: Section, settings: Settings) -> Iterator[Figure]:
    before, lit_m = lamps["lit_before_m"], lamps["lit_m"]
    yield Figure(
        word("lit_row"),
        word("metres_share", m=round(before), share=percent(_share_before(lamps))),
        word("metres_share", m=round(lit_m), share=percent(lamps["share_lit"])),
        _lamp_proof(lamps, settings),
    )
    weighted = settings.lamps.weight == "way-home"
    told = (
        ("way_row", "way_lit_mean_before", "way_lit_mean"),
        ("way_worst_row", "way_lit_worst_tenth_before", "way_lit_worst_tenth"),
        ("doors_row", "share_doors_lit_before", "share_doors_lit"),
    )
    for name, today, planned in told:
        if lamps.get(planned) is not None:
            proof = _proof(lamps.get("gap")) if weighted and name == "way_row" else word("follows")
            yield Figure(word(name), _share_today(lamps.get(today)), _same(percent(lamps[planned])), proof)


def _board_row(plan: Plan, boards: Section, settings: Settings) -> Figure:
    """A household that walks to no board today counts as such only where no board stands."""
    standing = int((plan.layers["boards"]["status"] == "existing").sum())
    today = word("sites_standing", n=standing) if standing else word("no_boards")
    return Figure(
        word("boards_row", walk=settings.boards.walk_m),
        today,
        _who(boards, settings),
        _proof(boards.get("gap")),
    )


def _grid_rows(grids: Section) -> Iterator[Figure]:
    yield Figure(
        word("grids_row"),
        word("no_grids"),
        _same(percent(grids.get("feasible_share"))),
        word("all_kept") if grids.get("feasible_share") == 1 else _NONE,
    )
    if grids.get("walk_mean_m") is not None:
        planned = word("metres_one", m=grids["walk_mean_m"])
        yield Figure(word("walk_row"), word("no_grids"), planned, _proof(grids.get("gap")))


def _facility_row(name: str, figures: Section, settings: Settings) -> Figure:
    few = settings.public.smallest_count
    served, demand = figures["served"], figures["demand"]
    planned = word("served_of", n=round(served), of=round(demand))
    if served < few:
        planned = word("below", n=few)
    elif 0 < demand - served < few:
        planned = word("but_few", n=few)
    today = word("sites_standing", n=figures["n_existing"])
    return Figure(word("facility_row", name=name), today, planned, _proof(figures["gap"]))


def _who(boards: Section, settings: Settings) -> Term:
    """The households near a board; neither they nor those who are not are told where they are few."""
    few, served, share = (
        settings.public.smallest_count,
        boards.get("households_served"),
        boards.get("share_served"),
    )
    if served is None or share is None:
        return _NONE
    beyond = round(served / share) - served if share else 0
    if served < few:
        return word("too_few", n=few)
    if 0 < beyond < few:
        return word("all_but_few", n=few)
    return word("of_households", n=served, share=percent(share))


def _share_before(lamps: Section) -> float:
    return lamps["lit_before_m"] / lamps["alley_m"] if lamps["alley_m"] else 0.0


def _lamp_proof(lamps: Section, settings: Settings) -> Term:
    """The proven most where metres are what is sought, else how near to the best the plan is."""
    proof = _proof(lamps.get("gap"))
    if settings.lamps.goal == "fewest":
        return word("fewest_proof", proof=proof)
    if lamps.get("bound_m") is None:
        return proof
    bound_m = round(lamps["lit_m"]) if lamps.get("gap") == 0 else ceil(lamps["bound_m"])
    return word("proof_and_bound", proof=proof, bound=word("at_most_m", m=bound_m))


def _proof(gap: float | None) -> Term:
    if gap is None:
        return word("unproven")
    if gap == 0:
        return word("best")
    return word("near_best", gap=f"{max(gap, 0.0001):.2%}")


def _share_today(share: float | None) -> Term:
    return word("not_counted") if share is None else _same(percent(share))


def _same(text: str) -> Term:
    return Term(text, "")
