"""How a site and a plan show themselves in a notebook: a table, a folium map, matplotlib axes.

Text from data is only ever shown: folium puts a map's values through a template engine and into HTML, so in
every value the characters that either of them could read are written as entities.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import pandas as pd

from spatial.leaflet import leaflet_script, leaflet_style
from spatial.palette import palette
from spatial.schema import PLAN_LAYERS, term

if TYPE_CHECKING:
    import folium
    from matplotlib.axes import Axes

__all__ = ["draw_layers", "map_layers", "plain_html", "plan_html", "table_html"]

#: What HTML, a template or a script could read.
_READ_AS_MORE = {each: f"&#{ord(each)};" for each in "{}`$\\%"}

#: Layers of a map, their columns in the tooltip, from below to above.
_TOLD = {
    "grids": ("grid_id", "name", "households", "walk_mean_m", "leader_role", "fault"),
    "stretches": ("alley_id", "length_m"),
    "lamps": ("lamp_code", "status", "rank", "gain_m", "alley_id"),
    "boards": ("board_code", "status", "households_served", "keeper_role"),
}


def plain_html(value: object) -> str:
    """Text that is shown as it stands in HTML and in what folium writes: no tag, no template, no code."""
    return "".join(_READ_AS_MORE.get(each, each) for each in html.escape(str(value)))


def table_html(title: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A small table with a title; every value escaped."""
    head = "".join(f"<th>{plain_html(each)}</th>" for each in headings)
    body = "".join("<tr>" + "".join(f"<td>{plain_html(each)}</td>" for each in row) + "</tr>" for row in rows)
    caption = f"<caption>{plain_html(title)}</caption>"
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def plan_html(community: str, summary: Mapping[str, Any]) -> str:
    """The figures of each part that was planned, with the proven bound and the gap."""
    rows = []
    if (grids := summary["grids"]) is not None:
        figures = (
            f"{grids['n']} of {grids['min']}–{grids['max']} households, walk {grids['walk_mean_m']:.1f} m"
        )
        rows.append(("grids", figures, f"{grids['bound_m']:,.0f} household-metres", f"{grids['gap']:.2%}"))
    if (lamps := summary["lamps"]) is not None:
        figures = f"{lamps['n_chosen']} new, {lamps['lit_m']:,.0f} m lit ({lamps['share_lit']:.1%})"
        bound = "" if lamps["bound_m"] is None else f"{lamps['bound_m']:,.0f} m"
        rows.append(("lamps", figures, bound, f"{lamps['gap']:.2%}"))
    if (boards := summary["boards"]) is not None:
        figures = (
            f"{boards['n_chosen']}, walk {boards['walk_mean_m']:.1f} m, {boards['share_served']:.1%} served"
        )
        rows.append(
            (
                "boards",
                figures,
                f"{boards['bound_household_m']:,.0f} household-metres",
                f"{boards['gap']:.2%}",
            )
        )
    title = f"{community}, plan {summary['plan_id']}, {len(summary['faults'])} faults"
    return table_html(title, ("part", "figures", "bound", "gap"), rows)


def map_layers(layers: Mapping[str, Any], m: folium.Map | None = None) -> folium.Map:
    """A plan's grids, lit and dark alleys, lamps and boards on a folium map.

    Parameters
    ----------
    layers : mapping
        Layers of ``plan.gpkg`` by name, in any CRS; those that are missing are left out.
    m : folium.Map, optional
        The map to add them to. None: a new one without a base map that asks no network for anything, saved
        to a file or not.

    Returns
    -------
    folium.Map
        ``m``, or the new map with a control of its layers.
    """
    import folium

    present = [name for name in ("grids", "alleys", *_TOLD) if name in layers and len(layers[name])]
    new = m is None
    if m is None:
        west, south, east, north = _bounds(layers[name] for name in present)
        m = folium.Map([(south + north) / 2, (west + east) / 2], tiles=None, prefer_canvas=True)
        m.options["maxZoom"] = 22
        _without_links(m)
        m.fit_bounds([[south, west], [north, east]])
    for name in dict.fromkeys(present):
        group = folium.FeatureGroup(term(name).zh)
        _shapes(name, layers[name]).add_to(group)
        group.add_to(m)
    if new:
        folium.LayerControl(collapsed=False).add_to(m)  # its closed form is a picture
    return m


def _without_links(m: folium.Map) -> None:
    """Leaflet stands in the page itself; what else folium links to, these layers do not use."""
    from branca.element import Element, Figure

    m.default_js, m.default_css = [], []
    page = m.get_root()
    assert isinstance(page, Figure)
    for text in (f"<style>{leaflet_style()}</style>", f"<script>{leaflet_script()}</script>"):
        page.header.add_child(Element("{% raw %}" + text + "{% endraw %}"))


def _bounds(layers: Iterable[gpd.GeoDataFrame]) -> tuple[float, float, float, float]:
    """West, south, east, north of all layers. [degrees, WGS 84]"""
    boxes = pd.DataFrame([each.to_crs(4326).total_bounds for each in layers])
    return boxes[0].min(), boxes[1].min(), boxes[2].max(), boxes[3].max()


def _shapes(name: str, rows: gpd.GeoDataFrame) -> folium.GeoJson:
    """One layer as GeoJSON whose values are text made harmless, and how it is painted."""
    import folium

    columns = [each for each in _TOLD.get(name, ()) if rows[each].notna().any()]
    told = gpd.GeoDataFrame(
        {each: [_told(value) for value in rows[each]] for each in columns}, geometry=rows.geometry.array
    )
    told["_style"] = _styles(name, rows)
    aliases = [term(each).zh for each in columns]
    tooltip = folium.GeoJsonTooltip(columns, aliases=aliases, sticky=False) if columns else None
    marker = folium.CircleMarker(radius=5) if PLAN_LAYERS[name].geometry == "Point" else None
    return folium.GeoJson(
        told.to_crs(4326).to_json(),
        style_function=lambda feature: dict(zip(_STYLE, feature["properties"]["_style"], strict=True)),
        marker=marker,
        tooltip=tooltip,
    )


_STYLE = ("color", "weight", "fillColor", "fillOpacity")


def _told(value: Any) -> str:
    if pd.isna(value):
        return ""
    return plain_html(f"{value:,.1f}" if isinstance(value, float) else value)


def _styles(name: str, rows: gpd.GeoDataFrame) -> list[list[Any]]:
    """Line colour and width, fill and its opacity of each row, as on the pages."""
    colour = palette()
    if name == "grids":
        return [[colour["outline"], 2, colour[f"tint-{row % 6}"], 0.7] for row in range(len(rows))]
    if name == "stretches":
        lit = rows["lit"].fillna(False).astype(bool)
        return [[colour["lit"], 4, None, 0] if each else [colour["dark"], 2, None, 0] for each in lit]
    if name == "lamps":
        fills = rows["status"].eq("existing").map({True: colour["paper"], False: colour["lamp"]})
        return [[colour["lamp-ring"], 1, fill, 1] for fill in fills]
    if name == "boards":
        return [[colour["paper"], 1, colour["board"], 1]] * len(rows)
    return [[colour["dark"], 2, None, 0]] * len(rows)


def draw_layers(layers: Mapping[str, Any], ax: Axes | None = None) -> Axes:
    """A plan's grids, lit and dark alleys, lamps and boards drawn with matplotlib, in the survey's metres.

    Parameters
    ----------
    layers : mapping
        Layers of ``plan.gpkg`` by name; those that are missing are left out.
    ax : Axes, optional
        Where to draw. None: new axes, large enough for a page.

    Returns
    -------
    Axes
        ``ax`` or the new ones; grids bear their numbers, so no font for Chinese is needed.
    """
    from matplotlib import pyplot as plt

    colour = palette()
    if ax is None:
        _, ax = plt.subplots(figsize=(10, 8), layout="constrained")
    if "grids" in layers:
        grids = layers["grids"]
        fills = [colour[f"tint-{row % 6}"] for row in range(len(grids))]
        grids.plot(ax=ax, color=fills, edgecolor=colour["outline"], linewidth=1)
        spots = grids.representative_point()
        for number, at in zip(grids["grid_id"], spots, strict=True):
            box = {"boxstyle": "round,pad=0.2", "fc": colour["paper"], "ec": colour["outline"], "lw": 0.6}
            ax.annotate(str(number), (at.x, at.y), ha="center", va="center", fontsize=9, zorder=6, bbox=box)
    if "alleys" in layers:
        layers["alleys"].plot(ax=ax, color=colour["dark"], linewidth=0.8, linestyle="--", label="alley")
    if "stretches" in layers:
        lit = layers["stretches"][layers["stretches"]["lit"].fillna(False).astype(bool)]
        _plot(lit, ax, color=colour["lit"], linewidth=2, label="lit")
    if "lamps" in layers:
        standing = layers["lamps"]["status"].eq("existing").fillna(False).astype(bool)
        ring = {"edgecolor": colour["lamp-ring"], "linewidth": 0.7, "markersize": 16, "zorder": 4}
        _plot(layers["lamps"][~standing], ax, color=colour["lamp"], label="new lamp", **ring)
        _plot(layers["lamps"][standing], ax, color=colour["paper"], label="existing lamp", **ring)
    if "boards" in layers:
        _plot(layers["boards"], ax, color=colour["board"], marker="s", markersize=26, zorder=5, label="board")
    ax.set_aspect("equal")
    ax.set(xlabel="Easting (m)", ylabel="Northing (m)")
    ax.ticklabel_format(style="plain", useOffset=False)
    ax.legend(loc="best", frameon=True)
    return ax


def _plot(rows: gpd.GeoDataFrame, ax: Axes, **how: Any) -> None:
    if len(rows):
        rows.plot(ax=ax, **how)
