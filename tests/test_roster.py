"""The roster of grids as it is written down and recounted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from spatial.audit import audit_plan
from spatial.plan import make_plan, write_plan
from tests.tampering import change_summary, set_cell
from tests.test_grids import small, village


@pytest.fixture(scope="module")
def party_plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two grids of three houses that meet at party households: H0, which is not the middle one, and H4."""
    site = village([(5 + 10 * at, 1) for at in range(6)], party_members=[1, 0, 0, 0, 2, 0])
    folder = tmp_path_factory.mktemp("party")
    write_plan(make_plan(site, small("grids.meeting_at=party_household"), only=("grids",)), folder)
    return folder


def test_a_plan_that_meets_at_party_households_is_recounted(party_plan: Path) -> None:
    assert audit_plan(party_plan) == ()


def test_a_walk_told_to_the_medoid_instead_is_named(party_plan: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(party_plan, tmp_path / "plan"))
    change_summary(copy, lambda summary: summary["grids"].update(meeting_walk_m=40.0))
    assert [f"{each.layer}.{each.column}" for each in audit_plan(copy)] == ["summary.grids.meeting_walk_m"]


def test_a_meeting_elsewhere_than_at_the_party_household_is_named(party_plan: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(party_plan, tmp_path / "plan"))
    set_cell(copy, "grids", "meeting_household_id", "H1", "grid_id = 1")
    assert "grids.meeting_household_id" in {f"{each.layer}.{each.column}" for each in audit_plan(copy)}
