"""folium's page made closed: no link leaves the file, and only code whose hash it names may run.

folium writes the frame of a Leaflet map and nothing else. Its links to other hosts are replaced by Leaflet
from an installed package and by our own script and style; data enters last, as JSON in which no text can end
a script or look like a template.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

import folium

from spatial.leaflet import leaflet_script, leaflet_style

__all__ = ["closed_page", "json_text", "page_assets"]

#: What folium links to, by the name of the file → what takes its place; None: the page does without it.
_LINKS: dict[str, Callable[[], str] | None] = {
    "leaflet.js": leaflet_script,
    "leaflet.css": leaflet_style,
    "jquery-3.7.1.min.js": None,
    "bootstrap.bundle.min.js": None,
    "bootstrap.min.css": None,
    "bootstrap-glyphicons.css": None,
    "all.min.css": None,
    "leaflet.awesome-markers.js": None,
    "leaflet.awesome-markers.css": None,
    "leaflet.awesome.rotate.min.css": None,
}

_SCRIPT_LINK = re.compile(r'<script src="([^"]*)"></script>')
_STYLE_LINK = re.compile(r'<link rel="stylesheet" href="([^"]*)"/>')
_RANDOM_ID = re.compile(r"(?<=_)[0-9a-f]{32}\b")
_OUTSIDE = re.compile(r"<(?:script|link|img|iframe|object|embed)\b[^>]*\b(?:src|href|data)\s*=")
_VIEWPORT = re.compile(r'<meta name="viewport"[^>]*/>')

#: Characters that could end a script, open a template or break a line of script, as JSON writes them.
_ESCAPES = {ord(each): f"\\u{ord(each):04x}" for each in "<>&{}`\u2028\u2029"}
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def closed_page(
    view: Mapping[str, Any], kind: str, *, south_west: Sequence[float], north_east: Sequence[float]
) -> str:
    """One HTML file that shows ``view`` and asks no network for anything.

    Parameters
    ----------
    view : mapping
        Plain values; text in it may be anything.
    kind : {"residents", "town", "planner", "compare"}
        Which markup, style and script the page has beside those of every page.
    south_west, north_east : longitude and latitude
        Corners of what the map shows first. [degrees, WGS 84]

    Raises
    ------
    ValueError
        folium links to a file that is not known here, or its page has changed shape.
    """
    page = _counted(_folium_frame(south_west, north_east))
    data = f'<script type="application/json" id="view">{json_text(view)}</script>'
    for old, new in (
        ("<html>", '<html lang="zh-CN">'),
        (_VIEWPORT, '<meta name="viewport" content="width=device-width, initial-scale=1" />'),
        ("</head>", "\n".join(map(_style, page_assets(kind, "css"))) + "\n</head>"),
        ("<body>", "\n".join(["<body>", *page_assets(kind, "html")])),
        ("</html>", "\n".join([data, *map(_script, page_assets(kind, "js")), "</html>"])),
    ):
        page = _replace_once(page, old, new)
    page = _STYLE_LINK.sub(lambda link: _style(_linked(link[1])), page)
    page = _SCRIPT_LINK.sub(lambda link: _script(_linked(link[1])), page)
    if _OUTSIDE.search(page):
        raise ValueError("the page still links to a file outside itself")
    return page.replace("<head>", f"<head>\n{_policy(page)}", 1)


def json_text(value: Any) -> str:
    """JSON for a script element: in its strings, whatever HTML or a template could read is escaped."""
    plain = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _JSON_STRING.sub(lambda text: text[0].translate(_ESCAPES), plain)


def _folium_frame(south_west: Sequence[float], north_east: Sequence[float]) -> str:
    """An empty Leaflet map on a page; text from data is not in it, since folium reads text as templates."""
    frame = folium.Map(
        location=[(south_west[1] + north_east[1]) / 2, (south_west[0] + north_east[0]) / 2],
        zoom_start=16,
        tiles=None,
        prefer_canvas=True,
        zoom_control=False,
        attribution_control=False,
        zoom_snap=0.25,
        max_zoom=22,
        min_zoom=8,
    )
    frame.options |= {"maxZoom": 22, "minZoom": 8}
    lines = str(frame.get_root().render()).split("\n")
    return "\n".join(line.rstrip() for line in lines if line.strip()) + "\n"


def _linked(url: str) -> str:
    """The text that takes the place of a link of folium's."""
    name = url.rsplit("/", 1)[-1]
    if name not in _LINKS:
        raise ValueError(f"folium links to {url}, which this version of the page does not know")
    text = _LINKS[name]
    return "" if text is None else text()


def page_assets(kind: str, suffix: str) -> list[str]:
    """Text of the files that a kind of page is made of: those of every page, then its own.

    A comparison has two maps, so it shares only the style of the others; a town looks as its wards do.
    """
    folder = files("spatial") / "assets"
    names = ["page", "residents", kind] if (kind, suffix) == ("town", "css") else ["page", kind]
    if kind == "compare" and suffix != "css":
        names = [kind]
    return [(folder / f"{name}.{suffix}").read_text(encoding="utf-8") for name in names]


def _script(text: str) -> str:
    if "</script" in text.lower():
        raise ValueError("a script must not hold its own end")
    return f"<script>{text}</script>" if text else ""


def _style(text: str) -> str:
    return f"<style>{text}</style>" if text else ""


def _counted(page: str) -> str:
    """folium's random element ids as 1, 2, 3 in order of appearance: the same plan is the same page."""
    numbers = {each: str(n) for n, each in enumerate(dict.fromkeys(_RANDOM_ID.findall(page)), start=1)}
    return _RANDOM_ID.sub(lambda found: numbers[found[0]], page)


def _policy(page: str) -> str:
    """A Content-Security-Policy that lets run exactly the scripts and styles of this page."""

    def hashes(tag: str) -> str:
        bodies = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
        return " ".join(sorted({f"'sha256-{_sha256(each)}'" for each in bodies}))

    rules = (
        "default-src 'none'",
        f"script-src {hashes('script')}",
        f"style-src {hashes('style')}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return f'<meta http-equiv="Content-Security-Policy" content="{"; ".join(rules)}" />'


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _replace_once(page: str, old: str | re.Pattern[str], new: str) -> str:
    pattern = re.compile(re.escape(old)) if isinstance(old, str) else old
    page, n = pattern.subn(lambda _: new, page)
    if n != 1:
        raise ValueError(f"folium's page has {n} of {pattern.pattern!r}, expected one")
    return page
