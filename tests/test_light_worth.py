"""Lamps weighted by whom they serve, kept apart, bought for a budget; what their light means to people."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest import approx
from shapely.geometry import LineString, Point

from spatial.audit import recount
from spatial.audit.book import Book, read_book
from spatial.audit.lamp_bound import bought, proved_bounds
from spatial.audit.lamp_prices import priced_light
from spatial.audit.light import recount_light
from spatial.audit.worth import recount_worth
from spatial.errors import DataError
from spatial.load import Site, read_site
from spatial.network import build_network
from spatial.plan import make_plan, write_plan
from spatial.sample import write_sample
from spatial.settings import read_settings
from spatial.siting import LampPlan, lamps, plan_lamps
from spatial.siting.candidates import at_most_one, too_near
from spatial.siting.ways import ways_home
from spatial.siting.weights import worth_of_light
from tests.drawn import layer
from tests.tampering import change_summary
from tests.test_siting import place


def fork(**more: Any) -> Site:
    """A gate at the west end of A (0–100 m); B turns off north at 60 with five of the seven households.

    Doors on A at 40 (elderly) and 100, on B at 20, 40, 60, 80 and 100 m from the junction.
    """
    doors = [(40, 0), (100, 0), *((60, y) for y in (20, 40, 60, 80, 100))]
    sites = [(20, 0), (80, 0), (60, 50), (60, 85)]
    layers = {
        "alleys": layer(
            "alleys", [LineString([(0, 0), (100, 0)]), LineString([(60, 0), (60, 100)])], alley_id=["A", "B"]
        ),
        "households": layer(
            "households", [Point(each) for each in doors], household_id=[f"H{j}" for j in range(7)],
            households=[1] * 7, elderly=[2, 0, 0, 0, 0, 0, 0], group=["一组"] * 2 + ["二组"] * 5,
        ),
        "places": layer("places", [Point(0, 0)], place_id=["gate"], kind=["entrance"]),
        "lamp_sites": layer(
            "lamp_sites", [Point(each) for each in sites], site_id=["W", "E", "N", "F"],
            status=["candidate"] * 4, mount=["pole"] * 4, consent=["unknown"] * 4,
            cost_cny=[900.0, 300.0, 300.0, 300.0],
        ),
    }  # fmt: skip
    return place(**{**layers, **more})


def proved_worth(book: Book) -> float | None:
    return proved_bounds(book, priced_light(book, recount_light(book), recount_worth(book)))["bound_worth"]


def lamps_of(site: Site, *overrides: str) -> LampPlan:
    settings = read_settings(overrides=overrides)
    return plan_lamps(site, build_network(site, settings), settings)


def worth_at(site: Site, *overrides: str, edge_of: tuple[float, float]) -> float:
    """What a metre is worth at a place."""
    settings = read_settings(overrides=overrides)
    network = build_network(site, settings)
    worth = worth_of_light(site, network, settings, ways_home(site, network, settings))
    gaps = [line.distance(Point(edge_of)) for line in network.edge_lines]
    edge = int(np.argmin(gaps))
    at_m = network.edge_lines[edge].project(Point(edge_of))
    rows = np.flatnonzero((worth.edge == edge) & (worth.from_m <= at_m))
    return float(worth.per_m[rows[-1]])


@pytest.mark.parametrize(
    ("at", "households"),
    [((10, 0), 7), ((39, 0), 7), ((41, 0), 6), ((61, 0), 1), ((60, 10), 5), ((60, 70), 2), ((60, 99), 1)],
)
def test_the_way_home_is_worth_the_households_that_use_it(at: tuple[float, float], households: int) -> None:
    assert worth_at(fork(), "lamps.weight=way-home", edge_of=at) == households


def test_the_lamp_on_everybodys_way_comes_first() -> None:
    #  W lights 5..35 of A for 7 households, N 35..65 of B for 3 and 2, E 65..95 of A for 1
    site = fork()
    plan = lamps_of(site, "lamps.n_lamps=1", "lamps.weight=way-home")
    assert plan.lamps["site_id"].tolist() == ["W"]
    assert plan.figures["worth"] == plan.figures["bound_worth"] == approx(30 * 7)
    assert plan.figures["bound_m"] is None
    assert plan.figures["lit_m"] == approx(30)
    ways = [40, 100, 80, 100, 120, 140, 160]
    assert plan.figures["way_lit_mean"] == approx(np.mean([30 / each for each in ways]))
    assert plan.figures["way_lit_worst_tenth"] == approx(30 / 160)
    assert plan.figures["way_lit_elderly"] == approx(30 / 40)
    assert plan.figures["way_lit_mean_before"] == 0
    assert plan.figures["share_doors_lit"] == 0
    assert plan.figures["share_alleys_with_lamp"] == 0.5


def test_alleys_with_elderly_people_count_as_often_as_the_setting_says() -> None:
    overrides = ("lamps.weight=elderly", "lamps.weight_times=4")
    assert worth_at(fork(), *overrides, edge_of=(30, 0)) == 4
    assert worth_at(fork(), *overrides, edge_of=(80, 0)) == 1
    plan = lamps_of(fork(), "lamps.n_lamps=1", *overrides)
    assert plan.lamps["site_id"].tolist() == ["W"]
    assert plan.figures["worth"] == approx(4 * 30)


def test_junctions_bends_and_steps_count_more() -> None:
    site = fork(
        alleys=layer(
            "alleys",
            [
                LineString([(0, 0), (100, 0)]),
                LineString([(60, 0), (60, 50), (90, 50)]),
                LineString([(100, 0), (100, -30)]),
            ],
            alley_id=["A", "B", "S"],
            kind=["alley", "alley", "steps"],
        )
    )
    worth = {
        at: worth_at(site, "lamps.weight=junctions", edge_of=at)
        for at in [
            (54, 0),
            (56, 0),
            (64, 0),
            (66, 0),
            (60, 4),
            (60, 44),
            (60, 46),
            (64, 50),
            (66, 50),
            (100, -20),
        ]
    }
    assert worth == {
        (54, 0): 1, (56, 0): 3, (64, 0): 3, (66, 0): 1, (60, 4): 3, (60, 44): 1, (60, 46): 3, (64, 50): 3,
        (66, 50): 1, (100, -20): 3,
    }  # fmt: skip


def test_a_budget_alone_buys_what_it_pays_for() -> None:
    plan = lamps_of(fork(), "lamps.budget_cny=900")
    assert sorted(plan.lamps["site_id"]) == ["E", "F", "N"]
    assert not any(each.code == "lamps-spare" for each in plan.remarks)


def test_lamps_are_kept_apart() -> None:
    #  N at 50 and F at 85 on B are 35 m apart, E and N 53 m
    near = lamps_of(fork(), "lamps.n_lamps=4")
    apart = lamps_of(fork(), "lamps.n_lamps=4", "lamps.apart_m=35.5")
    assert sorted(near.lamps["site_id"]) == ["E", "F", "N", "W"]
    assert len(apart.lamps) == 3 and not {"F", "N"} <= set(apart.lamps["site_id"])
    assert not {"F", "N"} <= set(apart.ranking["site_id"])


def test_a_candidate_too_near_to_a_standing_lamp_is_left_alone() -> None:
    site = fork()
    site.layers["lamp_sites"]["status"] = ["candidate", "candidate", "existing", "candidate"]
    plan = lamps_of(site, "lamps.n_lamps=2", "lamps.apart_m=40")
    assert sorted(plan.lamps["site_id"]) == ["E", "N", "W"]


def test_fewest_lamps_that_keep_apart_or_the_share_that_can_be_had() -> None:
    overrides = ("lamps.goal=fewest", "lamps.apart_m=36")
    with pytest.raises(DataError, match=r"a share of 0\.7"):
        lamps_of(fork(), *overrides)
    plan = lamps_of(fork(), *overrides, "lamps.share_of_lightable=0.5")
    assert len(plan.lamps) == 2


@given(seed=st.integers(0, 10_000), apart_m=st.sampled_from([0.0, 8.0, 20.0, 60.0]))
@hypothesis_settings(max_examples=60, deadline=None)
def test_every_pair_too_near_is_in_a_set_and_every_set_is_all_too_near(seed: int, apart_m: float) -> None:
    xy = np.random.default_rng(seed).uniform(0, 100, (25, 2))
    near = too_near(xy, apart_m)
    away_m = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1))
    assert (near.toarray() == ((away_m < apart_m) & ~np.eye(25, dtype=bool))).all()
    use = at_most_one(near).use
    together = (use.T @ use).toarray() > 0
    np.fill_diagonal(together, False)
    assert (together == near.toarray()).all()


def test_why_an_alley_got_no_lamp() -> None:
    site = fork()
    site.layers["lamp_sites"]["status"] = ["candidate", "forbidden", "candidate", "candidate"]
    plan = lamps_of(site, "lamps.n_lamps=1", "lamps.weight=way-home")
    alleys = plan.alleys.set_index("alley_id")
    assert alleys["dark_rank"].to_dict() == {"A": 2, "B": 1}
    assert alleys["unchosen_why"].isna()["A"]
    assert alleys.loc["B", ["unchosen_why", "unchosen_site_id"]].tolist() == ["gains-less", "N"]
    assert alleys.loc["B", "unchosen_gain_m"] == approx(30)
    site.layers["lamp_sites"]["status"] = ["candidate", "candidate", "forbidden", "forbidden"]
    barred = lamps_of(site, "lamps.n_lamps=2").alleys.set_index("alley_id")
    assert barred.loc["B", "unchosen_why"] == "site-barred"


def test_the_longest_dark_run_is_placed() -> None:
    plan = lamps_of(fork(), "lamps.n_lamps=2", "lamps.weight=way-home")
    assert set(plan.lamps["site_id"]) == {"W", "N"}
    figures = plan.figures
    assert figures["dark_run_m"] == approx(65) and figures["dark_run_alley_id"] == "A"
    assert figures["dark_run_from_m"] == approx(35)


def test_no_order_of_the_choice_does_better_than_the_bound_says() -> None:
    rng = np.random.default_rng(7)
    points = [Point(x, rng.uniform(-8, 8)) for x in rng.uniform(0, 100, 14)]
    site = fork(
        lamp_sites=layer(
            "lamp_sites", points, site_id=[f"S{j:02d}" for j in range(14)],
            status=["candidate"] * 14, mount=["pole"] * 14, consent=["unknown"] * 14,
        )
    )  # fmt: skip
    figures = lamps_of(site, "lamps.n_lamps=4").figures
    assert 0 <= figures["order_short_least"] <= figures["order_short"] <= 0.4


@pytest.mark.parametrize(
    "overrides",
    [
        ("lamps.weight=way-home", "lamps.n_lamps=2"),
        ("lamps.weight=elderly", "lamps.n_lamps=2"),
        ("lamps.weight=junctions", "lamps.n_lamps=2"),
        ("lamps.budget_cny=1200",),
        ("lamps.apart_m=36", "lamps.n_lamps=4"),
        ("lamps.goal=fewest", "lamps.share_of_lightable=0.6", "lamps.weight=way-home"),
    ],
)
def test_the_recount_agrees(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    settings = read_settings(overrides=overrides)
    write_plan(make_plan(fork(), settings, only=("lamps",)), tmp_path)
    assert recount(tmp_path).faults == ()


@given(
    sites=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=8),
    n=st.integers(0, 5),
    left_cny=st.integers(0, 15),
)
def test_what_money_buys_is_bounded_from_above_and_near(sites: list[tuple[int, int]], n: int, left_cny: int):
    worth, cost_cny = (np.array(each, dtype=float) for each in zip(*sites, strict=True))
    choices = (list(each) for size in range(n + 1) for each in combinations(range(len(sites)), size))
    best = max(worth[each].sum() for each in choices if cost_cny[each].sum() <= left_cny)
    bound = bought(worth, cost_cny, n, left_cny)
    assert best - 1e-9 <= bound <= best + 2 * worth.max() + 1e-6  # two limits share two sites at most


def test_prices_prove_the_bound_of_a_budget_anew(tmp_path: Path) -> None:
    write_sample(tmp_path / "site", n_households=400)
    overrides = ["lamps.budget_cny=400000", "work.effort=quick"]
    settings = read_settings(tmp_path / "site" / "plan.toml", overrides=overrides)
    plan = make_plan(read_site(tmp_path / "site", settings), settings, only=("lamps",))
    write_plan(plan, tmp_path)
    book = read_book(tmp_path)
    own, said = proved_worth(book), plan.summary["lamps"]
    assert own is not None
    assert said["worth"] - 1e-6 <= own <= 1.01 * said["bound_worth"]


# ── bounds proved anew where sites exclude each other, or boards ask for a lamp ──────────────────────


def proofs_of(folder: Path, *overrides: str) -> tuple[Path, Book, float, float]:
    """A plan as written, its worth, and what the prices of its folder prove."""
    write_sample(folder / "site", n_households=400)
    settings = read_settings(folder / "site" / "plan.toml", overrides=("work.effort=quick", *overrides))
    parts = ("boards", "lamps") if any("boards" in each for each in overrides) else ("lamps",)
    plan = make_plan(read_site(folder / "site", settings), settings, only=parts)
    write_plan(plan, folder)
    book = read_book(folder)
    own = proved_worth(book)
    assert own is not None
    return folder, book, plan.summary["lamps"]["worth"], own


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Book, float, float]:
    return proofs_of(tmp_path_factory.mktemp("apart"), "lamps.n_lamps=50", "lamps.apart_m=25")


def test_prices_prove_the_bound_of_lamps_that_stand_apart(apart: tuple[Path, Book, float, float]) -> None:
    """The sets of sites too near to each other are priced; without them less is proved."""
    folder, book, worth, own = apart
    assert worth - 1e-6 <= own <= 1.02 * worth
    bare = replace(book, bounds={key: each for key, each in book.bounds.items() if "apart" not in key})
    without = proved_worth(bare)
    assert without is not None
    assert without > own + 10
    audit = recount(folder)
    assert audit.faults == ()
    assert audit.bounds == {"lamps": {"bound_worth": own, "curve_gap": None}}


def test_a_set_of_sites_that_are_not_too_near_proves_nothing(
    apart: tuple[Path, Book, float, float], tmp_path: Path
) -> None:
    folder, book, worth, own = apart
    copy = shutil.copytree(folder, tmp_path / "copy")
    bounds = dict(book.bounds)
    bounds["lamps_apart_set"] = np.zeros_like(bounds["lamps_apart_set"])  # one set of them all
    bounds["lamps_apart_price"] = bounds["lamps_apart_price"][:1]
    forged = proved_worth(replace(book, bounds=bounds))
    assert forged is not None
    assert forged > own + 1e-3
    said = {"bound_m": worth, "bound_worth": worth, "gap": 0.0, "bound_by": "LP duals"}
    np.savez_compressed(copy / "bounds.npz", **bounds)
    change_summary(copy, lambda each: each["lamps"].update(said))
    assert {each.code for each in recount(copy).faults} == {"bound-unproven"}


def test_prices_prove_the_bound_of_lamps_that_boards_need(tmp_path: Path) -> None:
    overrides = ("lamps.n_lamps=25", "boards.n_boards=8", "boards.lit_at_night=require")
    folder, book, worth, own = proofs_of(tmp_path, *overrides)
    assert worth - 1e-6 <= own <= 1.02 * worth
    paid = book.bounds["lamps_shown_price"]
    assert (paid <= 0).all()
    assert paid.any()
    audit = recount(folder)
    assert audit.faults == ()
    said = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["boards"]
    assert audit.bounds["boards"]["bound_served"] >= said["households_served"]


# ── the fewest lamps, and the curve, proved anew ─────────────────────────────────────────────────────


@pytest.mark.parametrize("share", [1.0, 0.7])
def test_prices_prove_the_fewest_lamps(tmp_path: Path, share: float) -> None:
    """But for less than a lamp; prices that ask for more than a site can give prove less, and it is told."""
    write_sample(tmp_path / "site", n_households=400)
    overrides = ["lamps.goal=fewest", f"lamps.share_of_lightable={share}", "work.effort=quick"]
    settings = read_settings(tmp_path / "site" / "plan.toml", overrides=overrides)
    plan = make_plan(read_site(tmp_path / "site", settings), settings, only=("lamps",))
    write_plan(plan, tmp_path)
    n_chosen = plan.summary["lamps"]["n_chosen"]
    audit = recount(tmp_path)
    assert audit.faults == ()
    own = audit.bounds["lamps"]["n_chosen"]
    assert own is not None
    assert n_chosen - 1 <= own <= n_chosen
    bounds = dict(plan.bounds)
    bounds["lamps_price"] = 1.5 * bounds["lamps_price"]
    np.savez_compressed(tmp_path / "bounds.npz", **bounds)
    change_summary(tmp_path, lambda each: each["lamps"].update(gap=0.0, bound_by="LP duals"))
    assert ("bound-unproven", "lamps.gap") in {(each.code, each.column) for each in recount(tmp_path).faults}


def test_prices_prove_every_point_of_the_curve(township: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = township
    curve = read_book(folder).layers["lamp_curve"]
    gap = float((1 - curve["worth"] / curve["bound_worth"]).max())
    audit = recount(folder)
    assert audit.faults == ()
    assert audit.bounds["lamps"]["curve_gap"] == approx(gap, abs=1e-6)
    assert gap < 0.002


@pytest.mark.parametrize("key", ["lamps_curve_price", "lamps_curve_n", "lamps_curve_place"])
def test_a_point_of_the_curve_that_its_prices_do_not_prove_is_named(
    township: tuple[Path, dict[str, Any]], tmp_path: Path, key: str
) -> None:
    folder, bounds = township
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    forged = bounds[key][::-1] if key != "lamps_curve_price" else 0.9 * bounds[key]
    np.savez_compressed(copy / "bounds.npz", **{**bounds, key: forged.astype(bounds[key].dtype)})
    assert {(each.code, each.layer) for each in recount(copy).faults} == {("bound-unproven", "lamp_curve")}


def test_a_curve_far_below_its_bounds_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def doubts() -> list[str]:
        return [each.code for each in lamps_of(fork(), "lamps.n_lamps=2").remarks if each.kind == "doubt"]

    assert "curve-loose" not in doubts()
    plain = lamps.curve_of
    monkeypatch.setattr(
        lamps, "curve_of", lambda *given: replace(curve := plain(*given), bound=1.003 * curve.worth)
    )
    assert "curve-loose" in doubts()


def test_of_many_prices_some_points_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All points are held against the kept ones, which prove less between them."""
    monkeypatch.setattr(lamps, "CURVE_PRICES", 1)
    settings = read_settings(overrides=["lamps.n_lamps=2"])
    plan = make_plan(fork(), settings, only=("lamps",))
    assert len(plan.bounds["lamps_curve_n"]) == 1
    write_plan(plan, tmp_path)
    audit = recount(tmp_path)
    assert audit.faults == ()
    own = audit.bounds["lamps"]["curve_gap"]
    assert own is not None
    assert own >= 0


@pytest.fixture(scope="module")
def township(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A small township's lamps as written, and its arrays."""
    folder = tmp_path_factory.mktemp("township")
    write_sample(folder / "site", n_households=400)
    settings = read_settings(folder / "site" / "plan.toml", overrides=("work.effort=quick",))
    plan = make_plan(read_site(folder / "site", settings), settings, only=("lamps",))
    write_plan(plan, folder)
    return folder, dict(plan.bounds)
