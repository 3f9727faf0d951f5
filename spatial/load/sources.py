"""Which file of a community folder holds which layer, by its name or by ``plan.toml``."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from spatial.errors import DataError, Remark, doubt, fault, first_ids, note, one_line
from spatial.load.formats import ENDINGS, check_file, format_of, in_company, is_read, sources_in
from spatial.load.headings import layer_named, nearest, plain
from spatial.load.mojibake import unscrambled
from spatial.load.raw import Source
from spatial.load.site import InputFile
from spatial.schema import LAYERS
from spatial.settings import InputLayer, Settings

__all__ = ["find_sources", "hashed", "stamps"]

# beside the data in any folder of a GIS user, and nothing to say about
_IGNORED_ENDINGS = (".md", ".toml", ".qgs", ".qgz", ".qml", ".qmd", ".sld", ".ies", ".ldt", ".lock", "~")
_IGNORED_NAMES = ("readme", "license", "licence", "makefile", "thumbs.db", "desktop.ini")
_MOST_LISTED = 12  # files that are not read
_MOST_LOOKED_AT = 100  # files of a folder below
#: What speaks of a layer in the name of a file that is not called like one, the likeliest first.
_WORDS = {
    "lamp_sites": ("路灯", "灯杆", "灯位", "lamp"),
    "board_sites": ("宣传栏", "公告栏", "noticeboard"),
    "boundary": ("边界", "界线", "范围线", "boundary"),
    "alleys": ("道路", "巷", "街道", "路网", "road", "street", "alley"),
    "buildings": ("房屋", "建筑", "楼栋", "building"),
    "households": ("住户", "居民", "花名册", "户籍", "农户", "household"),
}
_ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz")
#: Formats of data that some office has and that are not read.
_OTHER_DATA = (".gml", ".gpx", ".tab", ".mif", ".gdb", ".mdb", ".accdb", ".sqlite", ".db", ".dgn", ".xml")
_PRINTS = (".pdf", ".doc", ".docx", ".wps", ".ppt", ".pptx", ".jpg", ".jpeg", ".png", ".bmp")
_SIDECARS = ("-wal", "-shm", "-journal", ".aux.xml", ".tfw", ".ovr")


def find_sources(folder: Path, settings: Settings) -> tuple[dict[str, Source], list[Remark]]:
    """Where each layer is.

    A layer named in the settings is where they say. For the others every table of a GeoPackage
    goes by its own name, a GeoPackage of one table and any other file also by the file's name;
    the community's name in front of or behind it does not matter.

    Returns
    -------
    sources : dict
        By name in ``schema.LAYERS``.
    remarks : list of Remark
        Faults: settings for unknown layers or files, files that can't be read, a layer found
        twice. Notes: files and tables that are not read.
    """
    stated = settings.input.layers
    remarks = [
        fault("layer-unknown", f"settings have a table [input.{each}]", remedy=nearest(each, list(LAYERS)))
        for each in stated if each not in LAYERS
    ]  # fmt: skip
    found, said = _stated_sources(folder, {key: each for key, each in stated.items() if key in LAYERS})
    remarks += said
    by_name: dict[str, list[Source]] = {}
    unread: list[Source | str] = []
    undecided: dict[str, tuple[Source, ...]] = {}  # tables of a file called like a layer, none of them is
    unopened: list[tuple[str, Path]] = []  # called like a layer, of a format that can't be it
    for path in _data_files(folder):
        named = _named_like_a_layer(path.stem, folder.name)
        if not is_read(path):
            if named is not None:
                remarks += _unusable(path, named)
                unopened.append((named, path))
            unread.append(path.name)
            continue
        if _names_no_layer(path, folder.name) and path not in [each.path for each in found.values()]:
            unread.append(Source(path))
            continue
        try:
            _check_inside(folder, path)
            check_file(path)
            sources = sources_in(path)
        except DataError as error:
            remarks.append(fault("file-unreadable", str(error), layer=named or ""))
            continue
        if named is None and not sources:
            unread.append(f"{path.name} (holds no table)")
        elif named is not None and not sources:
            remarks.append(_without_tables(path, named))
        elif named is not None and not any(
            _meant(each, folder.name, alone=len(sources) == 1) for each in sources
        ):
            undecided.setdefault(named, sources)
        elif named is not None and not any(_holds(named, each) for each in sources):
            unopened.append((named, path))
        for source in sources:
            meant = _meant(source, folder.name, alone=len(sources) == 1)
            if meant is not None and _holds(meant, source):
                by_name.setdefault(meant, []).append(source)
            elif source not in found.values():
                unread.append(source)
    for name, several in by_name.items():
        if name in stated and stated[name].file is not None:
            unread += [each for each in several if each not in found.values()]
            continue
        alone = [each for each in several if not format_of(each.path).extract]
        if alone and len(alone) < len(several):
            passed = ", ".join(sorted({each.path.name for each in several if each not in alone}))
            remarks.append(note("extract-passed-over", f"from {alone[0]}, not from {passed}", layer=name))
            several = alone
        if len(several) > 1:
            listed = ", ".join(map(str, several))
            remedy = f'keep one, or say which: [input.{name}] file = "{several[0].path.name}"'
            remedy += f', layer = "{several[0].table}"' if several[0].table else ""
            remarks.append(fault("layer-twice", f"found more than once: {listed}", layer=name, remedy=remedy))
        else:
            found[name] = several[0]
            remarks += _name_note(name, several[0])
    taken = by_name | {name: [each] for name, each in found.items()}
    used = {each.path for each in found.values()}
    undecided = {
        name: each for name, each in undecided.items() if name not in taken and each[0].path not in used
    }
    remarks += [_undecided(name, each) for name, each in undecided.items()]
    remarks += [
        said for name, path in unopened if name not in taken and name not in stated
        for said in _unopened(path, name)
    ]  # fmt: skip
    told = {each for sources in undecided.values() for each in sources}
    remarks += _perhaps_meant(folder, [each for each in unread if each not in told], taken, stated)
    return {name: found[name] for name in LAYERS if name in found}, remarks + _unread_note(map(str, unread))


def _undecided(name: str, sources: Sequence[Source]) -> Remark:
    """A fault: nothing may be made in place of the layer, as households from buildings."""
    file = sources[0].path.name
    text = f"{file} has {len(sources)} tables or sheets, none called like a layer: "
    text += first_ids(each.table for each in sources)
    remedy = f'bring all rows into one, or say which it is: [input.{name}] file = "{file}", '
    remedy += f'layer = "{sources[0].table}"'
    return fault("table-undecided", text, layer=name, remedy=remedy)


def _without_tables(path: Path, layer: str) -> Remark:
    """A file that is named like a layer was meant to hold it: nothing may be made in its place."""
    text = f"{path.name} holds no layer, table or sheet that can be read"
    remedy = "views, links and printed sheets are not followed: export the layer itself"
    return fault("file-unreadable", text, layer=layer, remedy=remedy)


def _unusable(path: Path, layer: str) -> list[Remark]:
    """A fault for a file that is named like a layer and is only part of one, or can't be read as it is."""
    ending = path.suffix.lower()
    if ending == ".dwg":
        return [fault("file-unreadable", f"{path.name} is a DWG drawing; save it as DXF", layer=layer)]
    stem = path.stem
    if ending in (".dbf", ".shx") and not any(
        is_read(each) and each.stem.lower() == stem.lower() for each in path.parent.iterdir()
    ):
        text = f"{path.name} is part of a shapefile, but {stem}.shp is missing; copy all files of that name"
        return [fault("file-unreadable", text, layer=layer)]
    return []


def _unopened(path: Path, layer: str) -> Iterator[Remark]:
    """What is said of a file in a format that can't be the layer it is called like; there is no other."""
    ending = path.suffix.lower()
    if is_read(path):
        text = f"{path.name} is {format_of(path).name}, which can't hold {layer}; export the layer itself"
    elif ending in _ARCHIVES:
        text = f"{path.name} is an archive, which is not opened; unpack it into the folder"
    elif ending in _OTHER_DATA:
        text = f"{path.name} is of a format that is not read; save it as a GeoPackage, or a list as .xlsx"
    elif ending in _PRINTS:
        text = (
            f"{path.name} is called like it, but is a document or a picture, in which no places can be read"
        )
        yield doubt("layer-perhaps", text, layer=layer, remedy="ask for the data that it was made from")
        return
    else:
        return
    yield fault("file-unreadable", text, layer=layer)


def _check_inside(folder: Path, path: Path) -> None:
    """Refuse a link out of the folder: a folder from elsewhere must not bring other people's files in."""
    home = os.path.realpath(folder)
    for each in (path, *format_of(path).beside(path)):
        if os.path.commonpath((home, os.path.realpath(each))) != home:
            raise DataError(f"{each.name} is a link to a file outside the folder; put the file itself there")


def stamps(sources: Iterable[Source]) -> dict[Path, tuple[int, ...]]:
    """What changes of each file behind ``sources`` when something writes to it."""
    found: dict[Path, tuple[int, ...]] = {}
    for path in _files(sources):
        about = path.stat()
        found[path] = (about.st_ino, about.st_size, about.st_mtime_ns)
    return found


def hashed(folder: Path, sources: Iterable[Source]) -> tuple[InputFile, ...]:
    """The files behind ``sources``, each once, with the SHA-256 of their bytes."""
    inputs = []
    for path in sorted(_files(sources)):
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        inputs.append(InputFile(path.relative_to(folder).as_posix(), digest))
    return tuple(inputs)


def _files(sources: Iterable[Source]) -> set[Path]:
    """The files behind ``sources`` with all that is read with them."""
    paths = {each.path for each in sources}
    return paths.union(*(format_of(each).beside(each) for each in paths))


def _data_files(folder: Path) -> list[Path]:
    """What lies in the folder and is not obviously something else, in the order of names."""
    there = sorted(folder.iterdir(), key=lambda each: each.name)
    belonging = in_company(there)
    return [
        path
        for path in there
        if path not in belonging
        and not path.name.startswith((".", "~"))
        and not path.name.lower().endswith((*_IGNORED_ENDINGS, *_SIDECARS))
        and path.stem.lower() not in _IGNORED_NAMES
        and path.name.lower() not in _IGNORED_NAMES
    ]


def _names_no_layer(path: Path, community: str) -> bool:
    """Whether a file of one table has a name that means no layer: then it holds none."""
    return format_of(path).is_one_table and _meant(Source(path), community, alone=True) is None


def _meant(source: Source, community: str, *, alone: bool) -> str | None:
    names = [source.table] if source.table else []
    if alone:
        names.append(source.path.stem)
    return next((meant for each in names if (meant := _named_like_a_layer(each, community))), None)


def _name_note(layer: str, source: Source) -> list[Remark]:
    name = source.table if unscrambled(source.table) != source.table else source.path.stem
    if unscrambled(name) == name:
        return []
    text = f"{source} was named in the wrong encoding once and is taken for {unscrambled(name)}"
    return [note("name-mended", text, layer=layer)]


def _named_like_a_layer(name: str, community: str) -> str | None:
    short = plain(unscrambled(name))
    bare = short.removeprefix(plain(community)).removesuffix(plain(community))
    return layer_named(short) or layer_named(bare)


def _holds(layer: str, source: Source) -> bool:
    """A raster can only be a raster layer, and the other way round."""
    is_raster = format_of(source.path).read is None
    return is_raster == (LAYERS[layer].geometry == ("raster",))


def _stated_sources(folder: Path, stated: Mapping[str, InputLayer]) -> tuple[dict[str, Source], list[Remark]]:
    found, faults = {}, []
    for name, spec in stated.items():
        try:
            if spec.file is not None:
                found[name] = _stated_source(folder, name, spec.file, spec.layer)
            elif spec.layer is not None:
                raise DataError("layer is given without a file; add file")
        except DataError as error:
            faults.append(fault("input-setting", f"[input.{name}]: {error}", layer=name))
    return found, faults


def _stated_source(folder: Path, name: str, file: str, table: str | None) -> Source:
    relative = PurePosixPath(file.replace("\\", "/"))
    if relative.is_absolute() or ".." in relative.parts or ":" in file or not relative.parts:
        raise DataError(f"file {file!r} must be the name of a file in the community folder")
    path = folder / relative
    if not is_read(path):
        raise DataError(f"{file} is not of a format that is read ({', '.join(ENDINGS)})")
    _check_inside(folder, path)
    check_file(path)
    sources = sources_in(path)
    if table is not None:
        sources = tuple(each for each in sources if each.table == table) or _no_table(path, table, sources)
    elif len(sources) > 1:
        sources = tuple(each for each in sources if _meant(each, folder.name, alone=False) == name) or sources
    if len(sources) != 1:
        tables = ", ".join(each.table for each in sources) or "none"
        raise DataError(f"{file} has {len(sources)} layers ({tables}); say which with layer")
    if not _holds(name, sources[0]):
        raise DataError(f"{file} is {format_of(path).name}, which can't hold {name}")
    return sources[0]


def _no_table(path: Path, table: str, sources: Sequence[Source]) -> tuple[Source, ...]:
    raise DataError(f"{path.name} has no layer {table!r}; it has {', '.join(each.table for each in sources)}")


def _perhaps_meant(
    folder: Path,
    unread: Iterable[Source | str],
    taken: Mapping[str, Sequence[Source]],
    stated: Mapping[str, InputLayer],
) -> list[Remark]:
    """A doubt for each table whose name is no layer's but speaks of one, also one folder below.

    Nothing is taken because of it: of 道路.shp and 道路_final(2).shp only a person knows which is right.
    """
    told: list[Remark] = []
    beside = (each for each in unread if isinstance(each, Source))
    for source in itertools.chain(beside, map(Source, _files_below(folder))):
        name = _speaks_of(source)
        if name is None or (name in stated and stated[name].file) or not _holds(name, source):
            continue
        file = source.path.relative_to(folder).as_posix()
        shown = f"{file} ({source.table})" if source.table else file
        found = f"in {', '.join(map(str, taken[name]))}" if name in taken else "nowhere else"
        text = f"{shown} is not read, but its name speaks of {name} {LAYERS[name].zh}, which are {found}"
        remedy = f'if it is meant, set [input.{name}] file = "{file}"'
        remedy += f', layer = "{source.table}"' if source.table else ""
        told.append(doubt("layer-perhaps", text, layer=name, remedy=remedy))
    return told[:_MOST_LISTED]


def _files_below(folder: Path) -> Iterator[Path]:
    """The files one folder below that could be read, the first of each folder."""
    for inner in _data_files(folder):
        if not inner.is_dir() or inner.is_symlink() or inner.name.startswith("__"):
            continue
        try:
            there = sorted(inner.iterdir())
        except OSError:  # not ours to read
            continue
        readable = (each for each in there if is_read(each) and not each.name.startswith((".", "~")))
        yield from itertools.islice(readable, _MOST_LOOKED_AT)


def _speaks_of(source: Source) -> str | None:
    """The layer of which the name of a file or table speaks."""
    called = plain(unscrambled(source.table or "")) + " " + plain(unscrambled(source.path.stem))
    return next((name for name, words in _WORDS.items() if any(each in called for each in words)), None)


def _unread_note(unread: Iterable[str]) -> list[Remark]:
    unread = list(unread)
    if not unread:
        return []
    formats = ", ".join(ENDINGS)
    more = f" … and {len(unread) - _MOST_LISTED:,} more" if len(unread) > _MOST_LISTED else ""
    listed = ", ".join(map(one_line, unread[:_MOST_LISTED])) + more
    return [
        note(
            "files-unread",
            f"not read, because name or format is none of the contract's: {listed}",
            remedy=f"formats: {formats}; names: {', '.join(LAYERS)}",
        )
    ]
