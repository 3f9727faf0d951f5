"""The command ``alleyplan``: from a folder of geodata to a checked plan, maps and tables.

Exit codes: 0 done; 1 nothing can be planned, or a recount differs; 2 bad input or settings; 130 stopped.
Progress and messages go to standard error; with ``--json`` one object goes to standard output.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from spatial.errors import AlleyplanError, DataError, Remark, doubt, fault
from spatial.publish import amending, publishing, replace_file

__all__ = ["main"]

app = typer.Typer(
    name="alleyplan",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Cut a community into grids and site its lamps and boards, a proven bound beside every figure.",
)
console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)

Folder = Annotated[Path, typer.Argument(help="Folder of the community's layers.")]
PlanFolder = Annotated[Path, typer.Argument(metavar="PLAN", help="Plan folder that `plan` wrote.")]
Out = Annotated[
    Path | None, typer.Option("--out", help="Where to write; default data/processed/<community>.")
]
SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="Settings file; default FOLDER/plan.toml.")
]
Sets = Annotated[
    list[str] | None, typer.Option("--set", help="One setting, section.key=value; may be repeated.")
]
Only = Annotated[str, typer.Option("--only", help="Parts to plan, e.g. grids,lamps,boards.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]

ALL_PARTS = "grids,lamps,boards,facilities"
_FIRST_WARD = "01.html"  # by which a folder of wards' pages is known


class Stopped(BaseException):
    """Ctrl-C or a polite kill; no library's ``except Exception`` swallows it."""


def main() -> None:
    """Run the command; every mistake of a user's ends in one message and an exit code."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup does
        signal.signal(signal.SIGHUP, _stop)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # what matters is told by us, once
    logging.getLogger().addHandler(logging.NullHandler())  # nor do drivers speak for themselves
    try:
        app()
    except AlleyplanError as error:
        _say(f"alleyplan: {error}")
        sys.exit(error.exit_code)
    except Stopped:
        _say("alleyplan: stopped; what stood in files before is whole")
        sys.exit(130)


@app.command()
def plan(
    folder: Folder,
    out: Out = None,
    settings: SettingsFile = None,
    set_: Sets = None,
    only: Only = ALL_PARTS,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="PLAN", help="Earlier plan whose grids and codes are kept."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Write nothing when a promise can't be kept.")
    ] = False,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of the search; default 1.")] = None,
    as_json: AsJson = False,
) -> None:
    """Plan grids, lamps and boards and write a plan folder."""
    overrides = [*(set_ or []), *([f"work.seed={seed}"] if seed is not None else [])]
    made = _plan(folder, out, settings, overrides, only.split(","), keep=keep, strict=strict)
    if as_json:
        _print_json(made)


@app.command()
def check(
    folder: Folder,
    settings: SettingsFile = None,
    set_: Sets = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for check.json and check.gpkg.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read the layers and report every fault, repair, guess and doubt; plan nothing."""
    from spatial.check import check_folder, check_lines, write_check
    from spatial.settings import examine_settings

    known, wrong = examine_settings(_settings_file(folder, settings), overrides=set_ or [])
    with _stage("reading"):
        checked = check_folder(folder, known, faults=wrong)
    found = _json(checked.to_json())
    if out is not None:
        _refuse_input(out, folder)
        with publishing(out, mark="check.json") as partial:
            write_check(checked, partial, found)
        _say(f"check: {out}")
    if as_json:
        sys.stdout.write(found)
    else:
        for line in check_lines(checked):
            _say(line)
        _say(_verdict(checked))
    raise typer.Exit(2 if checked.faults else 0)


@app.command()
def audit(folder: PlanFolder, as_json: AsJson = False) -> None:
    """Recount every figure and promise of a written plan with code of its own."""
    recounted = _recount(folder, quiet=as_json)
    if as_json:
        differences = [each.to_json() for each in recounted.faults]
        found = {"recounted": recounted.figures, "bounds_proved": recounted.bounds}
        _print_json({"agrees": not differences, "differences": differences, **found})
    raise typer.Exit(1 if recounted.faults else 0)


@app.command(name="map")
def map_(
    folder: PlanFolder,
    earlier: Annotated[
        Path | None,
        typer.Option("--earlier", metavar="PLAN", help="Earlier plan to compare with on the planner's page."),
    ] = None,
) -> None:
    """Draw the residents' and the planner's page of a written plan anew."""
    from spatial.comments import read_comments
    from spatial.plan import read_plan

    made = read_plan(folder)
    found = None
    if earlier is not None:
        from spatial.compare import compare_plans

        found = compare_plans(read_plan(earlier), made)
    pages = _pages(made, read_comments(folder), found)
    with amending(folder) as partial:
        _write_pages(pages, partial)
    _say(f"map: {folder / 'map.html'}")


@app.command()
def report(
    folder: PlanFolder,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write; default the plan folder.")
    ] = None,
    plates: Annotated[bool, typer.Option("--plates", help="Also one A4 notice plate per grid.")] = False,
) -> None:
    """Write what is handed over of a written plan: poster, decision sheet, drawings for CAD and phones."""
    from spatial.plan import read_plan
    from spatial.report import write_report

    target = out if out is not None else folder
    with _stage("drawing"):
        names, missing = write_report(read_plan(folder), target, plates=plates)
    for name in names:
        _say(f"report: {target / name}")
    if missing:
        _say(f"doubt: the typeface lacks {' '.join(missing)}; empty boxes stand for them")


@app.command()
def compare(
    earlier: Annotated[Path, typer.Argument(metavar="A", help="Plan folder, the earlier one.")],
    later: Annotated[Path, typer.Argument(metavar="B", help="Plan folder, the later one.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for compare.html, two maps side by side, and compare.json."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two plans of one community: who moved, lamps and boards added or dropped, light, cost."""
    from spatial.compare import compare_plans, comparison_lines
    from spatial.plan import read_plan

    with _stage("comparing"):
        plans = read_plan(earlier), read_plan(later)
        found = compare_plans(*plans)
    if out is not None:
        _write_comparison(out, plans, found)
    if as_json:
        _print_json(found)
    else:
        lines = comparison_lines(found)
        for language in (0, 1):
            for each in lines:
                _say(each[language])


@app.command()
def comments(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="GeoJSON files that residents saved on their page.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="PLAN", help="Plan folder; its planner's map shows the comments.")
    ],
) -> None:
    """Gather residents' comments into a plan folder: comments.gpkg, comments.csv and the planner's map."""
    from spatial.comments import gather_comments
    from spatial.plan import read_plan

    with _stage("gathering"):
        made = read_plan(out)
        gathered, remarks = gather_comments(files, made)
    with amending(out) as partial:
        pages = _write_with_comments(made, gathered, partial)
    if out.absolute() == (Path("data/processed") / made.site.community).absolute():
        replace_file(Path("maps") / f"{made.site.community}-planner.html", pages["planner.html"])
    _tell(remarks)
    _say(f"comments: {len(gathered)}, in {out / 'comments.csv'} and {out / 'planner.html'}")


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="Folder to begin a community in.")]) -> None:
    """Begin a community's folder: a plan.toml with every setting, and the layers it still needs."""
    from spatial.schema import LAYERS
    from spatial.settings import Settings, settings_toml

    target = folder / "plan.toml"
    if target.exists():
        raise DataError(f"{target} is there already; edit it, or choose another folder")
    replace_file(target, settings_toml(Settings()))
    _say(f"settings: {target}")
    _say(
        "put these layers beside it, as GIS layers, drawings (DXF), lists with coordinates or an OSM extract:"
    )
    for layer in LAYERS.values():
        _say(f"  {layer.name} {layer.zh}{' (required)' if layer.required else ''}")


@app.command()
def demo() -> None:
    """Plan the bundled made-up township, recount it and name the map to open."""
    from spatial.sample import write_sample

    folder = Path("data/raw/shannan")
    if not folder.is_dir():
        with _stage("making the township"):
            write_sample(folder)
    _plan(folder, None, None, [], ALL_PARTS.split(","), strict=False)
    if _recount(Path("data/processed/shannan")).faults:
        raise typer.Exit(1)
    _say(f"open the map: {Path('maps/shannan.html').absolute()}")


# ── planning ─────────────────────────────────────────────────────────────────────────────────────────


def _plan(
    folder: Path,
    out: Path | None,
    settings: Path | None,
    overrides: Sequence[str],
    only: Sequence[str],
    *,
    keep: Path | None = None,
    strict: bool,
) -> dict[str, Any]:
    """Read, plan and publish; returns what ``--json`` prints."""
    known = _settings(folder, settings, overrides)
    timings: dict[str, float] = {}
    if not _compiled():
        _say("first use on this machine: compiling takes about a minute")
    with _stage("reading", timings):
        from spatial.earlier import read_earlier
        from spatial.load import read_site

        earlier = read_earlier(keep) if keep is not None else None
        site = read_site(folder, known)
    from spatial.plan import PARTS, make_plan, write_plan

    parts = [each for each in PARTS if each in only] + [each for each in only if each not in PARTS]
    target = out if out is not None else Path("data/processed") / site.community
    _refuse_input(target, folder)
    with publishing(target) as partial:
        with _stages(timings) as report:
            made = make_plan(site, known, only=parts, earlier=earlier, report=report)
        if strict and made.faults:
            _tell_faults(made.faults)
            raise typer.Exit(1)
        with _stage("writing", timings):
            from spatial.report import write_tables

            write_plan(made, partial)
            write_tables(made, partial / "tables.xlsx")
            pages = _write_with_comments(made, _comments_kept(target, made), partial)
    map_file = target / "map.html"
    if out is None:
        map_file = Path("maps") / f"{site.community}.html"
        _copy_pages(pages, site.community)
    _tell_plan(made.summary)
    _say(f"plan: {target}")
    _say(f"map: {map_file}")
    return {"plan": str(target), "map": str(map_file), "timings_s": timings, "summary": made.summary}


def _copy_pages(pages: Mapping[str, str], community: str) -> None:
    """The pages into ``maps``: those of wards in a folder that is called as the residents' page is."""
    folder = Path("maps") / community
    wards = {name.removeprefix("map/"): text for name, text in pages.items() if name.startswith("map/")}
    if wards or (folder / _FIRST_WARD).is_file():
        with publishing(folder, mark=_FIRST_WARD) as partial:
            for name, text in wards.items():
                (partial / name).write_text(text, encoding="utf-8")
        if not wards:
            folder.rmdir()
    replace_file(folder.with_name(f"{community}.html"), pages["map.html"])
    replace_file(folder.with_name(f"{community}-planner.html"), pages["planner.html"])


def _refuse_input(out: Path, folder: Path) -> None:
    """The folder with the input, or one that holds it, is never written over."""
    if folder.resolve().is_relative_to(out.resolve()):
        raise DataError(f"--out {out} holds the input itself; choose another")


def _comments_kept(target: Path, made: Any) -> Any:
    """Comments that were gathered into the plan that is about to be replaced, brought to the new one."""
    from spatial.comments import place_comments, read_comments

    gathered = read_comments(target)
    if gathered is None:
        return None
    _say(f"comments: {len(gathered)} of residents in {target} stay with the new plan")
    return place_comments(gathered, made)


def _recount(folder: Path, *, quiet: bool = False) -> Any:
    """Audit a plan folder and tell what was recounted and what differs."""
    from spatial.audit import recount

    with _stage("recounting"):
        recounted = recount(folder)
    if not quiet:
        for section, figures in recounted.figures.items():
            parts = {f"{section}.{name}": each for name, each in figures.items() if isinstance(each, Mapping)}
            for part, each in (parts or {section: figures}).items():
                shown = (f"{name} {_figure(value)}" for name, value in each.items())
                _say(f"recounted {part}: {', '.join(shown)}")
        for section, bounds in recounted.bounds.items():
            for name, own in bounds.items():
                how = "held against the value only" if own is None else f"kept prices prove {_figure(own)}"
                _say(f"bound {section}.{name}: {how}")
        _tell(recounted.faults)
        n = len(recounted.faults)
        _say(f"{n} differences" if n else f"{folder}: the recount agrees with every figure")
    return recounted


def _settings(folder: Path, settings: Path | None, overrides: Sequence[str]) -> Any:
    from spatial.settings import read_settings

    return read_settings(_settings_file(folder, settings), overrides=overrides)


def _settings_file(folder: Path, settings: Path | None) -> Path | None:
    """The settings file that is asked for, else the folder's own, if it has one."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the folder that holds the community's layers")
    default = folder / "plan.toml"
    there = os.path.lexists(default)
    if (
        there
        and settings is None
        and Path(os.path.realpath(default)).parent != Path(os.path.realpath(folder))
    ):
        raise DataError(f"{default} is a link to another folder; put the file itself there")
    return settings or (default if there else None)


def _write_with_comments(made: Any, gathered: Any, partial: Path) -> dict[str, str]:
    """The comments and the pages that show them, into a folder that is about to appear; returns the pages."""
    from spatial.comments import write_comments

    if gathered is not None:
        write_comments(gathered, partial)
    pages = _pages(made, gathered)
    _write_pages(pages, partial)
    return pages


def _write_comparison(out: Path, plans: tuple[Any, Any], found: Mapping[str, Any]) -> None:
    from spatial.maps import comparison_page

    with publishing(out, mark="compare.json") as partial:
        (partial / "compare.json").write_text(_json(found), encoding="utf-8")
        (partial / "compare.html").write_text(comparison_page(*plans, found), encoding="utf-8")
    _say(f"comparison: {out / 'compare.html'}")


def _pages(made: Any, gathered: Any, comparison: Any = None) -> dict[str, str]:
    from spatial.maps import planner_page, residents_pages

    planner = planner_page(made, comments=gathered, comparison=comparison)
    return {**residents_pages(made), "planner.html": planner}


def _write_pages(pages: Mapping[str, str], folder: Path) -> None:
    """The pages, by their paths; what an earlier plan of a town left beside ``map.html`` goes."""
    shutil.rmtree(folder / "map", ignore_errors=True)
    for name, text in pages.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def _compiled() -> bool:
    """Whether the loops have been compiled here before."""
    here = Path(__file__).parent
    return any(here.rglob("*.nbi")) or not os.access(here, os.W_OK)


# ── telling ──────────────────────────────────────────────────────────────────────────────────────────

_KINDS = ("fault", "doubt", "note")
_MOST_DOUBTS = 8  # in the terminal, below a plan


def _say(text: str) -> None:
    console.print(text)


def _verdict(checked: Any) -> str:
    """Whether what was checked can be planned."""
    if checked.faults:
        return "this can't be planned until the faults are mended"
    if "households" not in checked.reading.frames:
        return "sound, but without households only lamps can be planned: plan --only lamps"
    return "sound: this can be planned"


def _tell(remarks: Sequence[Remark]) -> None:
    for kind in reversed(_KINDS):
        for each in remarks:
            if each.kind == kind:
                _say(f"{kind}: {each}")


def _tell_faults(faults: Sequence[dict[str, Any]]) -> None:
    for each in faults:
        where = {name: each[name] for name in ("layer", "column", "ids", "remedy")}
        _tell([fault(each["code"], each["message"], **where)])


def _tell_plan(summary: Mapping[str, Any]) -> None:
    """The plan in a few lines: each figure with its bound, then what it could not keep."""
    if grids := summary["grids"]:
        _say(
            f"grids: {grids['n']} of {grids['min']}–{grids['max']} households, "
            f"feasible {grids['feasible_share']:.1%}, in one piece {grids['contiguous_share']:.1%}, "
            f"mean walk {grids['walk_mean_m']:.1f} m, objective {grids['objective_m']:,.0f} "
            f"against a proven {grids['bound_m']:,.0f} (gap {_gap(grids)})"
        )
        _tell_groups(grids)
    if lamps := summary["lamps"]:
        _say(
            f"lamps: {lamps['n_chosen']} new beside {lamps['n_existing']}, "
            f"{lamps['lit_m']:,.0f} of {lamps['alley_m']:,.0f} m lit ({lamps['share_lit']:.1%}), "
            f"{_lamp_bound(lamps, summary['settings']['lamps'])} (gap {_gap(lamps)})"
        )
        if lamps["way_lit_mean"] is not None:
            _say(
                f"way home: {lamps['way_lit_mean']:.1%} lit on average, {lamps['way_lit_worst_tenth']:.1%} "
                f"for the tenth that has least; today {lamps['way_lit_mean_before']:.1%}"
            )
        doors = lamps["share_doors_lit"]
        _say(
            f"installed: {lamps['share_alleys_with_lamp']:.1%} of the alleys have a lamp"
            + ("" if doors is None else f", {doors:.1%} of the households light at their door")
            + _dark_run(lamps)
        )
    if boards := summary["boards"]:
        _say(
            f"boards: {boards['n_chosen']}, {boards['households_served']:,} households "
            f"({boards['share_served']:.1%}) within reach, mean walk {boards['walk_mean_m']:.1f} m "
            f"(gap {_gap(boards)})"
        )
    for name, figures in (summary["facilities"] or {}).items():
        unit = {"m": "m", "min": "minutes"}[figures["unit"]]
        _say(
            f"{name}: {figures['n_chosen']} sites serve {figures['served']:g} of {figures['demand']:g} "
            f"({figures['share_served']:.1%}, at most {figures['bound_served']:g} could be) within "
            f"{figures['limit']:g} {unit} (gap {_gap(figures)})"
        )
    _tell_faults(summary["faults"])
    for each in summary["doubts"][:_MOST_DOUBTS]:  # a guess that nobody reads is a guess in silence
        where = {name: each[name] for name in ("layer", "column", "ids", "remedy")}
        _tell([doubt(each["code"], each["message"], **where)])
    if summary["doubts"] or summary["notes"]:
        _say(f"{len(summary['doubts'])} doubts and {len(summary['notes'])} notes stand in summary.json")


def _dark_run(lamps: Mapping[str, Any]) -> str:
    """The longest piece of alley without light, and where it begins."""
    if lamps["dark_run_alley_id"] is None:
        return ", no alley is dark anywhere"
    where = f"{lamps['dark_run_alley_id']} from {lamps['dark_run_from_m']:.0f} m"
    return f", the longest dark run is {lamps['dark_run_m']:.0f} m ({where})"


def _lamp_bound(lamps: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """What is proved: of the number with "fewest", else of metres, or with a weight of their worth."""
    if settings["goal"] == "fewest":
        return f"the fewest that light {settings['share_of_lightable']:.0%} of what can be lit"
    if lamps["bound_m"] is not None:
        return f"proven at most {lamps['bound_m']:,.0f} m"
    return f"worth {lamps['worth']:,.0f} by {lamps['weight']}, proven at most {lamps['bound_worth']:,.0f}"


def _tell_groups(grids: Mapping[str, Any]) -> None:
    """How far village groups are kept together, and what that costs; nothing where they have no say."""
    if grids["groups_walk_m"] is None:
        return
    households = sum(each["households"] for each in grids["parts"])
    more_m = grids["groups_walk_m"]
    text = (
        f"village groups: {round(grids['mixing_share'] * grids['n'])} of {grids['n']} grids mix groups, "
        f"{grids['outside_share']:.1%} of households are outside the main group of their grid; keeping "
        f"groups together costs {more_m:,.0f} household-metres of walk, {more_m / households:.1f} m each"
    )
    if grids["n_plain"] != grids["n"]:
        text += f" (without them {grids['n_plain']} grids would do)"
    _say(text)


def _gap(section: Mapping[str, Any]) -> str:
    gap = section["gap"]
    return "unknown" if gap is None else "0: proven optimum" if gap == 0 else f"{gap:.3%}"


def _figure(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    places = 6 if abs(value) < 0.01 else 3
    return f"{value:,.{places}f}".rstrip("0").rstrip(".")


def _print_json(value: Any) -> None:
    sys.stdout.write(_json(value))


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "replace").decode()  # names of files may hold what is no text


@contextmanager
def _stage(name: str, timings: dict[str, float] | None = None) -> Iterator[None]:
    """Show a stage while it runs and keep how long it took."""
    with _stages(timings if timings is not None else {}) as report:
        report(name)
        yield


@contextmanager
def _stages(timings: dict[str, float]) -> Iterator[Callable[[str], None]]:
    """A reporter of stages: each call ends the stage before and begins the next."""
    running: list[tuple[str, float]] = []
    with console.status("") as status:

        def report(name: str) -> None:
            _end(running, timings)
            running.append((name, time.perf_counter()))
            status.update(name)

        yield report
        _end(running, timings)


def _end(running: list[tuple[str, float]], timings: dict[str, float]) -> None:
    if running:
        name, began = running.pop()
        timings[name] = round(time.perf_counter() - began, 3)
        _say(f"{name}: {timings[name]:.1f} s")


def _stop(number: int, frame: object) -> NoReturn:
    raise Stopped
