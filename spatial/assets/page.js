"use strict";
// What every page has: the view drawn on folium's empty map, the sheet, the two languages. Text from data
// reaches the page through textContent alone. A page's own script adds to it and then calls start().
const page = (function () {
  const view = JSON.parse(document.getElementById("view").textContent);
  const frame = document.querySelector(".folium-map");
  const map = window[frame.id];
  const byId = (id) => document.getElementById(id);
  const colour = (name) => getComputedStyle(document.body).getPropertyValue("--" + name).trim();
  const shows = []; // what a page's own script writes anew when the language changes
  const remarks = []; // its lines of small print, each a function that gives texts
  const legends = []; // its own lines of the legend: name, whether shown, text of the swatch
  const opened = []; // told the name of the panel that opens
  const taps = []; // asked in turn what a tap on the map means; true ends the round
  const paints = []; // [layer, its style under the colours of now]
  let english = false;
  let seesAll = false; // the map shows the whole community, and nobody has moved it
  let chosen = null;
  let outlineStyle = () => ({ color: colour("outline"), weight: 2, dashArray: null });

  // ── words ───────────────────────────────────────────────────────────────────────────────────

  function say(key, values) {
    return view.words[key][english ? 1 : 0].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
  }

  function whole(number) {
    return String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, ",");
  }

  const metres = (number) => say("metres", { n: whole(number) });
  const percent = (share) => String(Math.round(100 * share));

  function element(tag, text, name) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (name) made.className = name;
    return made;
  }

  function button(text, act) {
    const made = element("button", text);
    made.type = "button";
    made.addEventListener("click", act);
    return made;
  }

  // ── shapes: steps of millionths of a degree from the frame's south-west corner ──────────────

  function place(at) {
    return L.latLng(view.frame[1] + at[1] / 1e6, view.frame[0] + at[0] / 1e6);
  }

  function line(steps) {
    const points = [];
    let east = 0;
    let north = 0;
    for (let i = 0; i < steps.length; i += 2) {
      east += steps[i];
      north += steps[i + 1];
      points.push(place([east, north]));
    }
    return points;
  }

  const area = (polygons) => polygons.map((rings) => rings.map(line));

  // A style is a function, so that the map can be painted anew when the colours change.
  function painted(layer, style) {
    paints.push([layer, style]);
    return layer.setStyle(style());
  }

  function repaint() {
    for (const [layer, style] of paints) layer.setStyle(style());
    if (chosen && chosen.kind === "grid") outlines.get(chosen.item.grid_id).setStyle({ color: colour("chosen"), weight: 5 });
  }

  // A name says what the areas are, for a page that shows and hides them.
  function drawAreas(polygons, style, name) {
    if (!polygons.length) return;
    const layer = painted(L.polygon(area(polygons), { interactive: false, stroke: false }), style).addTo(map);
    if (name) drawn[name].push(layer);
  }

  function drawLines(lines, style) {
    return lines.length ? painted(L.polyline(lines.map(line), { interactive: false }), style).addTo(map) : null;
  }

  // ── the map ─────────────────────────────────────────────────────────────────────────────────

  const outlines = new Map(); // grid number → its outline
  const drawn = { tints: [], buildings: [] }; // areas by name
  const strokes = {}; // all alleys, lit alleys
  const lampDots = [];
  let scale = null;
  const signs = []; // in the order in which they take their room

  function drawGround() {
    drawAreas(view.boundary, () => ({ stroke: true, color: colour("outline"), weight: 2, fill: false }));
    for (const grid of view.grids) {
      const tint = grid.exclusive === null ? "tint-" + (grid.tint % 6) : "exclusive";
      drawAreas(grid.shape, () => ({ fillColor: colour(tint), fillOpacity: 1 }), "tints");
    }
    for (const [name, barrier] of Object.entries(view.barriers)) {
      drawAreas(barrier.areas, () => ({ fillColor: colour(name), fillOpacity: 0.8 }));
      drawLines(barrier.lines, () => ({ color: colour(name), weight: 6, opacity: 0.9 }));
    }
    drawAreas(view.ground, () => ({ fillColor: colour("building"), fillOpacity: 0.75 }), "buildings");
    for (const grid of view.grids) {
      drawLines(grid.hatch, () => ({ color: colour("outline"), weight: 1, opacity: 0.6 }));
      const outline = L.polygon(area(grid.shape), { interactive: false, fill: false });
      outlines.set(grid.grid_id, painted(outline, () => outlineStyle(grid)).addTo(map));
    }
  }

  function drawAlleys() {
    const dark = "n_lamps" in view.figures;
    strokes.all = drawLines(view.alleys.all, () => ({
      color: colour("dark"), lineCap: "butt", dashArray: dark ? "6 5" : null,
    }));
    strokes.lit = drawLines(view.alleys.lit, () => ({ color: colour("lit"), lineCap: "butt" }));
  }

  function drawPoints() {
    for (const lamp of view.lamps) {
      const standing = lamp.status === "existing";
      const dot = painted(L.circleMarker(place(lamp.at), { interactive: false, fillOpacity: 1 }), () => ({
        color: colour("lamp-ring"), fillColor: colour(standing ? "paper" : "lamp"),
      }));
      dot.ring = standing ? 2 : 1.5; // pixels, at most
      lampDots.push(dot.addTo(map));
    }
    for (const grid of view.grids) {
      if (grid.at) addSign(grid.at, "disc", String(grid.grid_id), { radius_m: grid.radius_m });
    }
    for (const board of view.boards) addSign(board.at, "board", "栏", {});
    for (const grid of view.grids) if (grid.meeting) addSign(grid.meeting, "star", "★", {});
    for (const each of view.places) addSign(each.at, "landmark", each.name, { wide: true });
    for (const each of view.alleys.names) addSign(each.at, "alley-name", each.name, { wide: true, along: each });
  }

  // Numbers, boards and stars stand where they are unless a sign lies above; words give way to all of them.
  function addSign(at, name, text, more) {
    const label = element("span", text);
    if (more.along) label.style.transform = "translate(-50%, -50%) rotate(" + -more.along.heading_deg + "deg)";
    const icon = L.divIcon({ className: "sign " + name, html: label, iconSize: null });
    const options = { icon: icon, interactive: false, keyboard: false, zIndexOffset: name === "disc" ? 10000 : 0 };
    signs.push({ marker: L.marker(place(at), options), text: text, ...more });
  }

  function pixelsPerMetre() {
    const centre = map.getCenter();
    const east = map.containerPointToLatLng(map.latLngToContainerPoint(centre).add([100, 0]));
    return 100 / map.distance(centre, east);
  }

  function boxOf(each, glyph) {
    const at = map.latLngToContainerPoint(each.marker.getLatLng());
    if (!each.wide) return { at: at, x: glyph * (each.above ? 1.6 : 0.8), y: glyph * (each.above ? 1.6 : 0.8), above: each.above };
    const turn = each.along ? (Math.PI / 180) * each.along.heading_deg : 0;
    const length = (glyph / 2) * [...each.text].reduce((sum, one) => sum + (one > "\u2e7f" ? 1 : 0.6), 0);
    const across = glyph * 0.6;
    const [cos, sin] = [Math.abs(Math.cos(turn)), Math.abs(Math.sin(turn))];
    return { at: at, x: length * cos + across * sin, y: length * sin + across * cos, length: 2 * length };
  }

  function hasRoom(each, box, scale, taken) {
    const meets = (other) =>
      Math.abs(other.at.x - box.at.x) < other.x + box.x && Math.abs(other.at.y - box.at.y) < other.y + box.y;
    if (each.radius_m && each.radius_m * scale <= 12) return false;
    if (!each.wide) return !taken.some((other) => other.above && !each.above && meets(other));
    if (each.along && each.along.length_m * scale < box.length + 16) return false;
    return !taken.some(meets);
  }

  // Only what is in sight and has room is in the document, so that a town stays quick to move.
  function tidySigns() {
    const scale = pixelsPerMetre();
    const bounds = map.getBounds().pad(0.1);
    const small = scale < 0.75;
    const glyph = (window.innerWidth >= 1500 ? 20 : 14) * (small ? 0.9 : 1);
    const taken = [];
    for (const each of signs) {
      const box = bounds.contains(each.marker.getLatLng()) ? boxOf(each, glyph) : null;
      const wanted = box !== null && hasRoom(each, box, scale, taken);
      if (wanted) taken.push(box);
      if (wanted !== map.hasLayer(each.marker)) wanted ? each.marker.addTo(map) : each.marker.remove();
    }
    frame.classList.toggle("small-signs", small);
  }

  // Strokes and dots shrink with the map, so that a town seen whole is not one blot. [pixels]
  function sizes() {
    const between = (low, value, high) => Math.max(low, Math.min(high, value));
    const scale = pixelsPerMetre();
    return {
      dark: between(1, 0.8 + 4 * scale, 3),
      lit: between(1.5, 1 + 8 * scale, 5),
      lamp: between(1.5, 1.4 + 3.4 * scale, 8),
      ring: between(0.5, 0.5 + 2 * scale, 2),
    };
  }

  function sizeStrokes() {
    const now = sizes();
    if (strokes.all) strokes.all.setStyle({ weight: now.dark });
    if (strokes.lit) strokes.lit.setStyle({ weight: now.lit });
    for (const dot of lampDots) dot.setRadius(now.lamp).setStyle({ weight: Math.min(now.ring, dot.ring) });
  }

  // What of the plan's light is on the map: a panel may show its own instead.
  function showLight(lit, lampShown) {
    if (strokes.lit) strokes.lit.setStyle({ opacity: lit ? 1 : 0 });
    lampDots.forEach((dot, row) => {
      const opacity = lampShown(view.lamps[row], row) ? 1 : 0;
      dot.setStyle({ opacity: opacity, fillOpacity: opacity });
    });
  }

  function addControls() {
    L.control.zoom({ position: "topright" }).addTo(map);
    const north = L.control({ position: "topleft" });
    north.onAdd = () => element("div", undefined, "north");
    north.addTo(map);
    const Scale = L.Control.Scale.extend({
      _updateMetric(maxMeters) {
        const length = this._getRoundNum(maxMeters);
        this._updateScale(this._mScale, metres(length), length / maxMeters);
      },
    });
    return new Scale({ imperial: false, maxWidth: 140, position: "topleft" }).addTo(map);
  }

  // What the sheet of a phone hides of the map; on a screen or on paper it lies beside it.
  function coveredBelow() {
    const sheet = byId("panel");
    return getComputedStyle(sheet).alignSelf === "end" ? sheet.offsetHeight : 0;
  }

  // On a phone the map's buttons lie in one row along its upper edge, which is kept free.
  function coveredAbove() {
    const corner = frame.querySelector(".leaflet-top.leaflet-right");
    return corner && getComputedStyle(corner).display === "flex" ? corner.offsetHeight : 0;
  }

  function showAll() {
    const [west, south, east, north] = view.frame;
    map.fitBounds([[south, west], [north, east]], {
      animate: false, paddingTopLeft: [12, coveredAbove() + 12], paddingBottomRight: [12, coveredBelow() + 12],
    });
    seesAll = true;
  }

  function layOutFor(medium) {
    document.body.classList.toggle("printing", medium === "printing");
    map.invalidateSize(false);
    showAll();
    drawNow();
  }

  // Leaflet paints with the next picture of the screen, which on the way to paper never comes.
  function drawNow() {
    if (!strokes.all) return;
    const pen = map.getRenderer(strokes.all);
    pen._redrawBounds = null;
    pen._redraw();
  }

  // ── what was tapped ─────────────────────────────────────────────────────────────────────────

  function inside(point, polygons) {
    let odd = false;
    for (const rings of polygons) {
      for (const ring of rings) {
        for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
          const a = ring[i];
          const b = ring[j];
          if (a.lat > point.lat !== b.lat > point.lat &&
              point.lng < ((b.lng - a.lng) * (point.lat - a.lat)) / (b.lat - a.lat) + a.lng) odd = !odd;
        }
      }
    }
    return odd;
  }

  function nearest(kind, items, point, reach) {
    let best = null;
    for (const item of items) {
      const away = map.latLngToContainerPoint(place(item.at)).distanceTo(point);
      if (away <= reach && (!best || away < best.away)) best = { kind: kind, item: item, away: away };
    }
    return best;
  }

  // A number lies above everything else, so a tap on it means its grid.
  function tapped(event) {
    const reach = frame.classList.contains("small-signs") ? 11 : window.innerWidth >= 1500 ? 19 : 15;
    const number = nearest("grid", view.grids.filter((each) => each.at), event.containerPoint, reach);
    if (number) return number;
    const board = nearest("board", view.boards, event.containerPoint, 20);
    const lamp = nearest("lamp", view.lamps, event.containerPoint, 14);
    if (board && !(lamp && lamp.away < board.away)) return board;
    if (lamp) return lamp;
    const grid = view.grids.find((each) => inside(event.latlng, outlines.get(each.grid_id).getLatLngs()));
    return grid ? { kind: "grid", item: grid } : null;
  }

  function choose(what, focus) {
    if (chosen && chosen.kind === "grid") {
      outlines.get(chosen.item.grid_id).setStyle(outlineStyle(chosen.item));
    }
    if (chosen && chosen.ring) chosen.ring.remove();
    chosen = what;
    if (what && what.kind === "grid") {
      outlines.get(what.item.grid_id).setStyle({ color: colour("chosen"), weight: 5, dashArray: null }).bringToFront();
    } else if (what) {
      what.ring = L.circleMarker(place(what.item.at), {
        interactive: false, radius: 15, color: colour("chosen"), weight: 4, fill: false,
      }).addTo(map);
    }
    showDetails();
    openPanel(what ? "details" : "legend");
    if (what && focus) zoomTo(what);
  }

  function zoomTo(what) {
    const bounds = what.kind === "grid"
      ? outlines.get(what.item.grid_id).getBounds() : place(what.item.at).toBounds(80);
    if (!bounds.isValid()) return;
    map.fitBounds(bounds, {
      paddingTopLeft: [40, coveredAbove() + 40], paddingBottomRight: [40, coveredBelow() + 40], maxZoom: 19,
    });
  }

  // ── the panel ───────────────────────────────────────────────────────────────────────────────

  function openPanel(name) {
    document.body.dataset.panel = name;
    for (const tell of opened) tell(name);
  }

  function rows(pairs) {
    const list = element("dl");
    for (const [key, value] of pairs) {
      if (value === null || value === undefined || value === "") continue;
      list.append(element("dt", view.words[key][english ? 1 : 0]), element("dd", value));
    }
    return list;
  }

  const orNull = (value, show) => (value === null || value === undefined ? null : show(value));
  const households = (n) => orNull(n, (value) => say("households_value", { n: whole(value) }));
  const gridName = (id) => orNull(id, (value) => say("grid_title", { id: value }));
  const role = (name) => (name === view.words.grid_leader[0] ? say("grid_leader") : name);
  const gridTitle = (grid) => (grid.exclusive === null
    ? say("grid_title", { id: grid.grid_id }) : say("exclusive_title", { name: grid.exclusive }));

  const describe = {
    grid: (grid) => [
      gridTitle(grid),
      [
        ["households", households(grid.households)],
        ["meeting_point", orNull(grid.meeting_alley, (name) => say("on_alley", { name: name }))],
        ["walk_mean", orNull(grid.walk_mean_m, metres)],
        ["nearest_boards", grid.boards.join(say("separator"))],
        ["leader_role", role(grid.leader_role)],
      ],
    ],
    lamp: (lamp) => [
      say(lamp.status === "existing" ? "lamp_existing_title" : "lamp_new_title", { code: lamp.lamp_code }),
      [
        ["alley", lamp.alley],
        ["grid", gridName(lamp.grid_id)],
        ["order", lamp.status === "existing" ? null : orNull(lamp.rank, (n) => say("order_value", { n: n }))],
        ["gain_m", orNull(lamp.gain_m, metres)],
      ],
    ],
    board: (board) => [
      say("board_title", { code: board.board_code }),
      [
        ["alley", board.alley],
        ["grid", gridName(board.grid_id)],
        ["households_served", households(board.households_served)],
        ["keeper_role", board.keeper_role],
      ],
    ],
  };

  function showDetails() {
    const details = byId("details");
    if (!chosen) {
      details.replaceChildren(element("h2", say("details")), element("p", say(view.grids.length ? "hint" : "hint_plain")));
      return;
    }
    const [title, pairs] = describe[chosen.kind](chosen.item);
    details.replaceChildren(element("h2", title), rows(pairs));
  }

  function showLegend() {
    const figures = view.figures;
    const lines = [
      ["grid", view.grids.length, "1"],
      ["exclusive", view.grids.some((each) => each.exclusive !== null), ""],
      ["meeting", view.grids.some((each) => each.meeting), "★"],
      ["lamp-new", view.lamps.some((each) => each.status !== "existing"), ""],
      ["lamp-existing", view.lamps.some((each) => each.status === "existing"), ""],
      ["board", view.boards.length, "栏"],
      ["lit", "n_lamps" in figures, ""],
      ["dark", "n_lamps" in figures, ""],
      ["alley", !("n_lamps" in figures), ""],
      ["building", view.ground.length, ""],
      ["water", view.barriers.water.lines.length + view.barriers.water.areas.length, ""],
      ["other", view.barriers.other.lines.length + view.barriers.other.areas.length, ""],
      ...legends,
    ];
    const list = byId("legend").querySelector("ul");
    list.replaceChildren(
      ...lines.filter((each) => each[1]).map(([name, , text]) => {
        const item = element("li");
        const swatch = element("span", text, "swatch swatch-" + name);
        swatch.setAttribute("aria-hidden", "true");
        item.append(swatch, element("span", say("legend_" + name.replace("-", "_"))));
        return item;
      }),
    );
  }

  function showPicker() {
    for (const id of ["picker", "show-picker"]) if (byId(id)) byId(id).hidden = !view.grids.length;
    byId("picker").querySelector("ul").replaceChildren(
      ...view.grids.map((grid) => {
        const item = element("li");
        const each = button(String(grid.grid_id), () => choose({ kind: "grid", item: grid }, true));
        each.setAttribute("aria-label", gridTitle(grid));
        item.append(each);
        return item;
      }),
    );
  }

  // ── title, sentence and lines ───────────────────────────────────────────────────────────────

  function showTitle() {
    const about = view.about;
    const ward = about.ward ? say("ward_title", { n: about.ward }) : "";
    const name = (english ? about.name_en : about.name) + (ward && say("ward_of") + ward);
    byId("title").textContent = document.title = say(view.grids.length ? "title" : "title_plain", { name: name });
    byId("date").hidden = about.date === null;
    if (about.date) {
      const [year, month, day] = about.date.split("-").map(Number);
      byId("date").dateTime = about.date;
      byId("date").textContent = say("date_value", { year: year, month: month, day: day, iso: about.date });
    }
  }

  function showSentence() {
    const figures = view.figures;
    const parts = [];
    if ("n_grids" in figures) parts.push(say("sentence_grids", { n: whole(figures.n_grids) }));
    if (figures.n_exclusive) parts.push(say("sentence_exclusive", { n: whole(figures.n_exclusive) }));
    if ("n_lamps" in figures) parts.push(say("sentence_lamps", { n: whole(figures.n_lamps) }));
    if ("n_boards" in figures) parts.push(say("sentence_boards", { n: whole(figures.n_boards) }));
    const sentence = byId("sentence");
    sentence.replaceChildren(element("span", parts.join(" · ")));
    const caution = byId("caution");
    const ids = view.grids.filter((each) => each.fault).map((each) => each.grid_id);
    caution.hidden = !ids.length;
    if (ids.length) {
      caution.textContent = say("grid_faults", {
        ids: ids.join(say("separator")), min: figures.min_households, max: figures.max_households,
      });
    }
    if (!("n_lamps" in figures)) return;
    const way = byId("way");
    way.hidden = (figures.way_lit ?? null) === null;
    if (!way.hidden) way.textContent = say("way_lit", { share: percent(figures.way_lit), before: percent(figures.way_before) });
    const lit = { lit: whole(figures.lit_m), share: percent(figures.share_lit), before: percent(figures.share_before) };
    sentence.append(say("break"), element("strong", say(figures.share_before ? "sentence_lit" : "sentence_lit_only", lit)));
    byId("share").hidden = false;
    byId("share").querySelector(".share-lit").style.width = 100 * figures.share_lit + "%";
    byId("share").querySelector(".share-before").hidden = !figures.share_before;
    byId("share").querySelector(".share-before").style.width = 100 * figures.share_before + "%";
    byId("proven").hidden = figures.bound_m === null;
    if (figures.bound_m !== null) {
      const required = figures.n_required ? say("proven_required", { n: whole(figures.n_required) }) : "";
      const proven = { n: whole(figures.n_lamps), required: required, bound: whole(figures.bound_m) };
      byId("proven").textContent = say(figures.proven ? "proven_best" : "proven_bound", proven);
    }
  }

  function showRemark() {
    const figures = view.figures;
    const lines = [];
    if (figures.reach_m) {
      lines.push(say(figures.line_of_sight ? "light_model" : "light_model_open", { reach: figures.reach_m }));
    }
    if (figures.buildings_left_out) lines.push(say("buildings_left_out"));
    if (figures.households_estimated) lines.push(say("households_estimated"));
    for (const more of remarks) lines.push(...more(figures));
    byId("remark").textContent = lines.join(" ");
  }

  // ── together ────────────────────────────────────────────────────────────────────────────────

  function showWords() {
    document.documentElement.lang = english ? "en" : "zh-CN";
    for (const each of document.querySelectorAll("[data-text]")) each.textContent = say(each.dataset.text);
    for (const each of document.querySelectorAll("[data-label]")) {
      each.setAttribute("aria-label", say(each.dataset.label));
    }
    byId("switch").textContent = say("switch");
    byId("switch").lang = english ? "zh-CN" : "en";
    byId("switch").setAttribute("aria-label", say("switch_label"));
    frame.setAttribute("aria-label", say("map_label"));
    for (const [name, key] of [["in", "zoom_in"], ["out", "zoom_out"]]) {
      const control = frame.querySelector(".leaflet-control-zoom-" + name);
      control.title = say(key);
      control.setAttribute("aria-label", say(key));
    }
    const north = frame.querySelector(".north");
    north.textContent = say("north");
    north.setAttribute("role", "img");
    north.setAttribute("aria-label", say("north_label"));
    scale._update();
    for (const show of [showTitle, showSentence, showLegend, showPicker, showDetails, showRemark, ...shows]) show();
  }

  function start() {
    document.body.classList.add(view.mode);
    frame.setAttribute("role", "application");
    openPanel("legend");
    drawGround();
    drawAlleys();
    drawPoints();
    scale = addControls();
    showWords();
    map.invalidateSize(false);
    showAll();
    sizeStrokes();
    tidySigns();
    map.on("movestart", () => { seesAll = false; });
    map.on("zoomend", sizeStrokes);
    map.on("moveend", tidySigns);
    map.on("click", (event) => { if (!taps.some((take) => take(event))) choose(tapped(event), false); });
    new ResizeObserver(() => {
      map.invalidateSize(false);
      if (seesAll) showAll();
      if (document.body.classList.contains("printing")) drawNow();
    }).observe(frame);
    byId("switch").addEventListener("click", () => { english = !english; showWords(); });
    byId("close").addEventListener("click", () => openPanel("none"));
    for (const name of ["legend", "picker"]) {
      if (byId("show-" + name)) byId("show-" + name).addEventListener("click", () => openPanel(name));
    }
    byId("show-all").addEventListener("click", showAll);
    window.addEventListener("beforeprint", () => layOutFor("printing"));
    window.addEventListener("afterprint", () => layOutFor("screen"));
    window.addEventListener("keydown", (event) => { if (event.key === "Escape") choose(null, false); });
  }

  return {
    view, map, frame, byId, colour, say, whole, metres, percent, element, button, place, line, rows, gridTitle,
    inside, outlines, nearest, describe, role, choose, shows, remarks, opened, taps, legends, openPanel, coveredAbove, coveredBelow, sizes, showLight,
    repaint, start, drawn, strokes, lampDots, addSign, chosen: () => chosen,
    keepWhole: () => { if (seesAll) showAll(); },
    word: (key) => view.words[key][english ? 1 : 0],
    styleOutlines: (style) => { outlineStyle = style; },
  };
})();
