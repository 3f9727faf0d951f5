"""Where lamps and notice boards stand: candidates, the choice with its proven bound, and its tables."""

from spatial.siting.boards import BoardPlan, plan_boards
from spatial.siting.candidates import made_sites
from spatial.siting.lamps import LampPlan, plan_lamps
from spatial.siting.lighting import light_shares

__all__ = ["BoardPlan", "LampPlan", "light_shares", "made_sites", "plan_boards", "plan_lamps"]
