"""Where lamps, boards and other facilities stand: candidates, the choice with its bound, and its tables."""

from spatial.siting.boards import BoardPlan, check_boards, plan_boards
from spatial.siting.candidates import candidate_sites, grid_at, made_sites, standing
from spatial.siting.facility import FacilityPlan, check_facility, plan_facility
from spatial.siting.lamps import LampPlan, check_lamps, check_weight, plan_lamps, usable_lamp_sites
from spatial.siting.lighting import light_shares
from spatial.siting.night import lamps_in_sight
from spatial.siting.tables import substrings
from spatial.siting.ways import LitAlong, ways_home

__all__ = [
    "BoardPlan",
    "FacilityPlan",
    "LampPlan",
    "LitAlong",
    "candidate_sites",
    "check_boards",
    "check_facility",
    "check_lamps",
    "check_weight",
    "grid_at",
    "lamps_in_sight",
    "light_shares",
    "made_sites",
    "plan_boards",
    "plan_facility",
    "plan_lamps",
    "standing",
    "substrings",
    "usable_lamp_sites",
    "ways_home",
]
