"""Layers that are sound one by one and hardly true together are doubted, and true ones are not."""

import pytest

from spatial.load import check_site
from tests.drawn_village import ALLEYS, DEFAULT, HOUSES, at, box, geojson, line

BUILDINGS = [(box(20 * i, 5, 10, 10), {"building_id": f"b{i}"}) for i in range(3)]
#: Under a house there may be a passage.
PASSAGE = [(box(55, -15, 10, 10), {"building_id": "b9"})]


def doubts(folder):
    """Ids by code and column."""
    _, remarks = check_site(folder, DEFAULT)
    return {each.code + each.column: each.ids for each in remarks if each.kind == "doubt"}


def test_a_sound_village_has_no_doubt(village):
    geojson(village, "buildings", BUILDINGS + PASSAGE)
    people = {"residents": 3, "elderly": 3, "party_members": 0}
    geojson(village, "households", [(shape, each | people) for shape, each in HOUSES])
    geojson(village, "boundary", [(box(-300, -300, 700, 600), {})])
    assert not doubts(village)


@pytest.mark.parametrize(("corner", "doubted"), [((300, 900), False), ((300, 1100), True)])
def test_a_corner_drawn_far_off(village, corner, doubted):
    bent = (line((0, 0), corner, (100, 0)), {"alley_id": "a9"})
    geojson(village, "alleys", [*ALLEYS, bent])
    assert doubts(village).get("alleys-straight") == (("a9",) if doubted else None)


def test_an_outline_that_holds_alleys_and_houses(village):
    geojson(village, "buildings", [*BUILDINGS, *PASSAGE, (box(-10, -50, 300, 100), {"building_id": "plot"})])
    found = doubts(village)
    assert found["alleys-in-building"] == ("plot",)
    assert found["buildings-overlap"] == ("plot",)


@pytest.mark.parametrize(("east", "doubted"), [(0, True), (4, True), (6, False), (10, False)])
def test_a_building_drawn_twice(village, east, doubted):
    geojson(village, "buildings", [*BUILDINGS, (box(40 + east, 5, 10, 10), {"building_id": "b3"})])
    assert doubts(village).get("buildings-overlap") == (("b3",) if doubted else None)


@pytest.mark.parametrize("column", ["elderly", "party_members"])
def test_more_of_them_than_people(village, column):
    rows = [(at(10, 8), {"household_id": "h1", "residents": 2, column: 3})]
    rows += [(at(20, 8), {"household_id": "h2", "residents": None, column: 3})]
    rows += [(at(30, 8), {"household_id": "h3", "residents": 3, column: 3})]
    geojson(village, "households", rows)
    assert doubts(village) == {"people-too-many" + column: ("h1",)}


def test_a_boundary_of_the_county(village):
    geojson(village, "boundary", [(box(-9000, -9000, 20_000, 20_000), {})])
    assert list(doubts(village)) == ["boundary-wide"]
