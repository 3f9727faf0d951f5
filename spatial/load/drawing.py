"""DXF drawings: each drawing layer is a table, blocks are points, closed outlines are areas.

A drawing is made to be looked at. What it holds is taken as the layer of the contract wants it:
centre-lines, areas or points; what that leaves out, and every text that became a name, is said.
Nothing outside the file is opened: referenced drawings and pictures stay unread.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from spatial.crs import parse_crs
from spatial.errors import DataError, Remark, doubt, first_ids, note
from spatial.load.coordinates import swapped_axes
from spatial.load.drawn import TOLERANCE_M, Anchors, Drawn, Entity, drawn_shapes
from spatial.load.labels import labelled
from spatial.load.raw import Choose, RawLayer, Source, objects, once
from spatial.schema import LAYERS

if TYPE_CHECKING:
    from ezdxf.document import Drawing

__all__ = ["drawing_layers", "read_drawing"]

_DWG = re.compile(rb"AC1[0-9]{3}")
_BINARY = b"AutoCAD Binary DXF"
_ACADVER = re.compile(rb"\$ACADVER\s+1\s+(AC\d{4})")
_CODEPAGE = re.compile(rb"\$DWGCODEPAGE\s+3\s+(\w+)")
#: Characters that the code page of a drawing lacks, as CAD in another language writes them: \U+5DF7, or with
#: the number of a code page in front \M+5CFEF.
_ESCAPED = re.compile(r"\\U\+([0-9A-Fa-f]{4})|\\M\+([1-5])([0-9A-Fa-f]{4})")
_PAGES = {"1": "cp932", "2": "cp950", "3": "cp949", "4": "johab", "5": "gb18030"}
#: Blocks within blocks, and what all of them unfold to.
_DEEPEST, _MOST_UNFOLDED = 32, 100_000
#: Each takes some 4 kB of memory, whatever it takes in the file.
_MOST_ENTITIES = 180_000
_ENTITY = re.compile(rb"\n\s{0,3}0\s{0,2}\n|\0\0(?=[A-Z]{3})")
#: Metres in a unit of $INSUNITS, and its name; 0 states none.
_UNITS = {
    0: (1.0, ""), 1: (0.0254, "inches"), 2: (0.3048, "feet"), 4: (0.001, "millimetres"),
    5: (0.01, "centimetres"), 6: (1.0, "metres"), 7: (1000.0, "kilometres"),
    14: (0.1, "decimetres"), 15: (10.0, "decametres"), 16: (100.0, "hectometres"),
    21: (1200 / 3937, "US survey feet"),
}  # fmt: skip
#: Entities that explain a drawing and hold nothing to plan with.
_ANNOTATION = frozenset(
    [
        "DIMENSION",
        "ARC_DIMENSION",
        "LARGE_RADIAL_DIMENSION",
        "LEADER",
        "MULTILEADER",
        "MLEADER",
        "TOLERANCE",
        "IMAGE",
        "WIPEOUT",
        "VIEWPORT",
        "ATTDEF",
        "OLE2FRAME",
        "OLEFRAME",
        "RAY",
        "XLINE",
        "PDFUNDERLAY",
        "DWFUNDERLAY",
        "DGNUNDERLAY",
        "LIGHT",
        "SUN",
        "TABLE",
        "ACAD_TABLE",
    ]
)


@dataclass
class _Blocks:
    """What each block holds, blocks within it included."""

    layers: dict[str, frozenset[str]] = field(default_factory=dict)  # "0": that of the insert
    n_entities: dict[str, int] = field(default_factory=dict)
    references: set[str] = field(default_factory=set)  # to other drawings


@dataclass
class _Opened:
    document: Drawing
    blocks: _Blocks
    names: dict[str, str]  # lower case → name of each layer that holds anything
    crs: pyproj.CRS | None
    move: Any  # Matrix44 from drawing to system, or None
    encoding: str
    said: list[Remark]


def drawing_layers(path: Path) -> tuple[str, ...]:
    """The layers of a checked drawing that hold anything, in the order of their names."""
    return tuple(sorted(_drawing(path).names.values()))


def read_drawing(source: Source, choose: Choose, encoding: str | None) -> RawLayer:
    opened = _drawing(source.path) if encoding is None else _opened(source.path, encoding)
    layer = source.table.lower()
    wanted = LAYERS[source.layer].geometry if source.layer else ("point", "line", "polygon")
    said = list(opened.said)
    with _handled(str(source)):
        found = _entities(opened, layer, descend="point" not in wanted, said=said)
        scale = _scale(opened, found, said)
        drawn = drawn_shapes(found, wanted, unit_m=scale)
        drawn, names = labelled(drawn, source.layer, unit_m=scale)
        said += [*_layer_state(opened, layer), *_told(drawn, source)]
        geometry, turned = _placed(opened, objects(drawn.shapes), scale)
    headings = sorted({key for each in drawn.columns for key in each})
    chosen = choose(headings)
    values = {name: objects([each.get(key) for each in drawn.columns]) for name, key in chosen.items()}
    return RawLayer(
        values, geometry, opened.crs, tuple(headings), tuple(chosen.values()), opened.encoding,
        said=(*said, *names, *turned),
    )  # fmt: skip


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────


@once
def _drawing(path: Path) -> _Opened:
    return _opened(path, None)


def _opened(path: Path, encoding: str | None) -> _Opened:
    raw = path.read_bytes()
    if _DWG.match(raw):
        raise DataError(f"{path.name} is a DWG drawing; save it as DXF")
    n_entities = sum(1 for _ in _ENTITY.finditer(raw))
    if n_entities > _MOST_ENTITIES:
        raise DataError(
            f"{path.name} has {n_entities:,} entities, more than {_MOST_ENTITIES:,}; leave only this "
            "community and the layers that are needed in it"
        )
    said: list[Remark] = []
    with _handled(path.name):
        document, used = _document(path.name, raw, encoding, said)
        blocks = _blocks(document)
        names = _layer_names(document, blocks)
        crs, move = _system(document, said)
    if blocks.references:
        text = f"{len(blocks.references):,} other drawings are referenced and were not read: "
        said.append(
            doubt("references-unread", text + first_ids(blocks.references), remedy="bind them in CAD")
        )
    return _Opened(document, blocks, names, crs, move, used, said)


@contextmanager
def _handled(what: str) -> Iterator[None]:
    """Within it the library prints nothing, and whatever a damaged drawing makes of it is told as ours."""
    logger = logging.getLogger("ezdxf")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise DataError(
            f"{what} is damaged or no DXF: {reason}; audit it in CAD and export it again"
        ) from None
    finally:
        logger.disabled = before


def _document(file: str, raw: bytes, encoding: str | None, said: list[Remark]) -> tuple[Drawing, str]:
    """The parsed drawing, and its encoding where that had to be found out."""
    import ezdxf
    from ezdxf import recover
    from ezdxf.document import Drawing
    from ezdxf.lldxf.const import DXFError
    from ezdxf.lldxf.tagger import binary_tags_loader
    from ezdxf.lldxf.types import DXFTag

    if raw.startswith(_BINARY):
        if b"EOF\0" not in raw[-16:]:
            raise DataError(f"{file} is cut off: its end is missing; copy or export it again")
        tags = (
            DXFTag(each.code, _ESCAPED.sub(_unescaped, each.value)) if isinstance(each.value, str) else each
            for each in binary_tags_loader(raw)
        )
        return Drawing.load(tags), ""
    if not raw.rstrip().endswith(b"EOF"):
        raise DataError(f"{file} is cut off or no DXF: its end is missing; copy or export it again")
    codec, used = (encoding, "") if encoding else _codec(raw)
    try:
        text = raw.decode(codec).removeprefix("\ufeff")
    except (UnicodeDecodeError, LookupError):
        raise DataError(
            f'{file}: text is not {codec}; set encoding = "gb18030" for this layer in plan.toml, '
            "or export it again"
        ) from None
    text = _ESCAPED.sub(_unescaped, text.replace("\r\n", "\n").replace("\r", "\n"))
    try:
        return ezdxf.read(io.StringIO(text)), used
    except DXFError:
        document, auditor = recover.read(io.BytesIO(raw))
        troubles = {each.message.splitlines()[0][:60] for each in (*auditor.errors, *auditor.fixes)}
        text = f"the drawing is damaged and was read as far as it can be ({len(troubles):,} faults"
        said.append(
            doubt("drawing-mended", f"{text}: {first_ids(troubles, 3)})", remedy="audit and save it in CAD")
        )
        return document, used


def _unescaped(found: re.Match[str]) -> str:
    """The character that an escape stands for; the escape itself where it stands for none a text can hold."""
    if found[1] is not None:
        character = chr(int(found[1], 16))
    else:
        try:
            character = bytes.fromhex(found[3]).decode(_PAGES[found[2]])
        except UnicodeDecodeError:
            return found[0]
    return character if character.isprintable() else found[0]


def _codec(raw: bytes) -> tuple[str, str]:
    """The codec of a drawing's text, and its name where it is another than the drawing says.

    UTF-8 is tried first, because Chinese text in GBK is practically never valid UTF-8; then the
    stated code page, but Western European for text that makes sense in GBK is the mark of a
    program that never asked.
    """
    from ezdxf.tools.codepage import toencoding

    try:
        raw.decode("utf-8")
        return "utf-8", ""
    except UnicodeDecodeError:
        pass
    page = _CODEPAGE.search(raw)
    stated = toencoding(page.group(1).decode("ascii").upper()) if page else "cp1252"
    if stated == "gbk":
        return "gb18030", ""
    if stated != "cp1252":
        return stated, ""
    try:
        raw.decode("gb18030")
        return "gb18030", "GB18030"
    except UnicodeDecodeError:
        return "cp1252", ""


def _system(document: Drawing, said: list[Remark]) -> tuple[pyproj.CRS | None, Any]:
    """The system that the drawing names, in its GEODATA or as a property, and the way into it."""
    from ezdxf.lldxf.const import DXFError

    geodata = document.modelspace().get_geodata()
    if geodata is not None and "<!" not in geodata.coordinate_system_definition:
        try:
            move, code = geodata.get_crs_transformation()
            crs = parse_crs(f"EPSG:{code}")
            said.append(note("crs-found", f"the drawing's geographic location names EPSG:{code}"))
            return crs, move
        except (DXFError, DataError, ValueError):
            text = "the drawing has a geographic location of a kind that is not understood, and is not used"
            said.append(doubt("crs-not-understood", text))
    named = document.header.custom_vars.get("CRS")
    if named is not None:
        try:
            crs = parse_crs(str(named))
            said.append(note("crs-found", f"the drawing's property CRS names {named}"))
            return crs, None
        except DataError as error:
            text = f"the system that the drawing's property CRS states can't be understood: {error}"
            said.append(doubt("crs-unreadable", text))
    return None, None


# ── which entities ───────────────────────────────────────────────────────────────────────────────────


def _blocks(document: Drawing) -> _Blocks:
    """What every block unfolds to, each block looked at once."""
    found = _Blocks()

    def look(name: str, above: tuple[str, ...]) -> tuple[frozenset[str], int]:
        if name in found.layers:
            return found.layers[name], found.n_entities[name]
        block = document.blocks.get(name)
        if block is None or name in above:
            return frozenset(), 0
        if len(above) > _DEEPEST:
            raise DataError(f"blocks are nested more than {_DEEPEST} deep; explode and purge them in CAD")
        if block.block is not None and (block.block.is_xref or block.block.is_xref_overlay):
            found.references.add(name)
            return frozenset(), 0
        layers, n_entities = set[str](), 0
        entity: Entity
        for entity in block:
            layers.add(entity.dxf.layer.lower())
            n_entities += 1
            if entity.dxftype() == "INSERT":
                inner, n_inner = look(entity.dxf.name.lower(), (*above, name))
                layers |= {entity.dxf.layer.lower() if each == "0" else each for each in inner}
                n_entities += n_inner * _copies(entity)
        found.layers[name], found.n_entities[name] = frozenset(layers), n_entities
        return found.layers[name], n_entities

    entity: Entity
    for entity in document.modelspace().query("INSERT"):
        look(entity.dxf.name.lower(), ())
    return found


def _copies(insert: Entity) -> int:
    return max(1, insert.dxf.get("row_count", 1)) * max(1, insert.dxf.get("column_count", 1))


def _layer_names(document: Drawing, blocks: _Blocks) -> dict[str, str]:
    held = set()
    for entity in document.modelspace():
        held.add(entity.dxf.layer.lower())
        if entity.dxftype() == "INSERT":
            held |= blocks.layers.get(entity.dxf.name.lower(), frozenset()) - {"0"}
    spelt = {each.dxf.name.lower(): each.dxf.name for each in document.layers}
    return {each: spelt.get(each, each) for each in sorted(held)}


def _entities(opened: _Opened, layer: str, *, descend: bool, said: list[Remark]) -> list[Entity]:
    """The entities on a layer, those inside blocks too; an insert on it as such, or what it shows.

    A block is unfolded for what it holds on this layer; where the layer is of lines or areas
    (``descend``), also for what takes the layer of the insert.
    """
    found: list[Entity] = []
    n_hidden = n_unfolded = 0
    stack: list[tuple[Entity, str, tuple[str, ...]]] = [
        (each, "0", ()) for each in reversed(list(opened.document.modelspace()))
    ]
    while stack:
        entity, above, within = stack.pop()
        if entity.dxf.get("invisible", 0):
            n_hidden += entity.dxf.layer.lower() == layer
            continue
        own = entity.dxf.layer.lower()
        own = above if own == "0" else own
        if entity.dxftype() != "INSERT":
            if own == layer:
                found.append(entity)
            continue
        block = entity.dxf.name.lower()
        inner = opened.blocks.layers.get(block, frozenset())
        if own == layer and not descend:
            found.append(entity)
        elif block in within:  # inside itself, where no program shows it
            continue
        elif layer in inner - {"0"} or (own == layer and "0" in inner):
            n_unfolded += opened.blocks.n_entities[block] * _copies(entity)
            if n_unfolded > _MOST_UNFOLDED:
                raise DataError(
                    f"layer {opened.names.get(layer, layer)}: blocks unfold to more than {_MOST_UNFOLDED:,} "
                    "entities; explode and purge them in CAD"
                )
            copies = entity.multi_insert() if _copies(entity) > 1 else (entity,)
            parts = [part for copy in copies for part in copy.virtual_entities()]
            stack += [(part, own, (*within, block)) for part in reversed(parts)]
    if n_hidden:
        said.append(note("entities-hidden", f"{n_hidden:,} entities are hidden one by one and were left out"))
    return found


def _layer_state(opened: _Opened, layer: str) -> list[Remark]:
    """What a person who opens the drawing would not see."""
    document, said = opened.document, []
    if document.layers.has_entry(layer):
        known = document.layers.get(layer)
        states = [word for word, holds in (("off", known.is_off()), ("frozen", known.is_frozen())) if holds]
        if states:
            text = f"layer {opened.names[layer]} is {' and '.join(states)} in the drawing"
            said.append(doubt("layer-hidden", f"{text}; it was read all the same"))
    n_paper = sum(
        1 for name in document.layout_names() if name != "Model"
        for each in document.layout(name) if each.dxf.layer.lower() == layer and each.dxftype() != "VIEWPORT"
    )  # fmt: skip
    if n_paper:
        said.append(
            note("paper-unread", f"{n_paper:,} entities on printed sheets (paper space) were left out")
        )
    return said


# ── units and place ──────────────────────────────────────────────────────────────────────────────────


def _scale(opened: _Opened, found: list[Entity], said: list[Remark]) -> float:
    """Metres in a unit of the drawing.

    CAD programs state millimetres unless told otherwise, so coordinates that are those of a
    national system as they stand are taken as metres whatever is stated.
    """
    if opened.move is not None:
        return float(opened.move.transform_direction((1, 0, 0)).magnitude) or 1.0
    stated = int(opened.document.header.get("$INSUNITS", 0))
    unit_m, name = _UNITS.get(stated, (1.0, ""))
    x, y = Anchors(found).middle()
    if not name:
        said.append(note("units-unstated", "the drawing states no unit; its coordinates are taken as metres"))
    elif unit_m != 1.0:
        if _is_placed(x, y):
            text = f"the drawing says {name}, but coordinates around {x:.7g}, {y:.7g} are metres or degrees; "
            said.append(doubt("units-doubtful", text + "taken so", remedy="set the drawing's unit in CAD"))
            return 1.0
        said.append(note("units-converted", f"drawn in {name}, converted to metres"))
    return unit_m


def _is_placed(x: float, y: float) -> bool:
    """Whether these are metres of a national system as they stand, in either order, or degrees in China."""
    easting = 1.0e5 <= x <= 9.0e5 or 13.0e6 <= x <= 46.0e6
    return (easting and 1.0e5 <= y <= 1.0e7) or swapped_axes(x, y) or (73 <= x <= 136 and 18 <= y <= 54)


def _placed(
    opened: _Opened, shapes: NDArray[np.object_], unit_m: float
) -> tuple[NDArray[np.object_], list[Remark]]:
    """The shapes in metres, x east and y north."""
    if opened.move is not None:
        turn = np.array([[opened.move[row, column] for column in (0, 1)] for row in (0, 1, 3)])
        return shapely.transform(shapes, lambda xy: xy @ turn[:2] + turn[2]), []
    shapes = shapely.transform(shapes, lambda xy: xy * unit_m)
    xy = shapely.get_coordinates(shapes)
    middle = np.median(xy[np.isfinite(xy).all(axis=1)], axis=0) if np.isfinite(xy).any() else (np.nan, np.nan)
    if not swapped_axes(float(middle[0]), float(middle[1])):
        return shapes, []
    text = f"x is north and y is east by their sizes (around {middle[0]:.7g}, {middle[1]:.7g}): turned"
    return shapely.transform(shapes, lambda xy: xy[:, ::-1]), [doubt("axes-swapped", text)]


def _told(drawn: Drawn, source: Source) -> list[Remark]:
    """What became of the entities that are not simply taken."""
    said = []
    if drawn.n_curves:
        text = f"{drawn.n_curves:,} arcs and curves were turned into straight pieces"
        said.append(note("curves-straightened", f"{text}, at most {TOLERANCE_M} m off"))
    if drawn.n_closed:
        said.append(note("outlines-filled", f"{drawn.n_closed:,} closed lines were taken as areas"))
    if drawn.n_joined:
        said.append(
            note("lines-joined", f"single lines were joined into the outlines of {drawn.n_joined:,} areas")
        )
    if drawn.n_doubled:
        said.append(
            note("fillings-dropped", f"{drawn.n_doubled:,} fillings of outlines that are there were dropped")
        )
    if drawn.n_circles:
        said.append(
            note("circles-as-points", f"{drawn.n_circles:,} circles were taken as points, their centres")
        )
    for kinds, make, what in (
        ({k: n for k, n in drawn.aside.items() if k not in _ANNOTATION}, doubt, "can't be read as"),
        ({k: n for k, n in drawn.aside.items() if k in _ANNOTATION}, note, "are no"),
    ):
        if kinds:
            listed = ", ".join(f"{n:,} {kind}" for kind, n in sorted(kinds.items()))
            text = f"{listed} {what} {source.layer or 'shapes'} and were left out"
            said.append(make("entities-unread", text))
    return said
