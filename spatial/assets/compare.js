"use strict";
// Two plans on two maps that move together. Text from data reaches the page through textContent alone.
(function () {
  const view = JSON.parse(document.getElementById("view").textContent);
  const frames = [document.querySelector(".folium-map"), document.createElement("div")];
  const byId = (id) => document.getElementById(id);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const changes = ["dropped", "added"]; // what is marked on the earlier and on the later plan's map
  let english = false;
  let scales = [];

  // ── words ───────────────────────────────────────────────────────────────────────────────────

  const word = (key) => view.words[key][english ? 1 : 0];
  const say = (key, values) => word(key).replace(/\{(\w+)\}/g, (_, name) => String(values[name]));

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

  // ── shapes: steps of millionths of a degree from the south-west corner of a side ────────────

  const placeIn = (side, at) => L.latLng(side.frame[1] + at[1] / 1e6, side.frame[0] + at[0] / 1e6);

  function line(side, steps) {
    const points = [];
    let east = 0;
    let north = 0;
    for (let i = 0; i < steps.length; i += 2) {
      east += steps[i];
      north += steps[i + 1];
      points.push(placeIn(side, [east, north]));
    }
    return points;
  }

  const area = (side, polygons) => polygons.map((rings) => rings.map((ring) => line(side, ring)));

  // ── the maps ────────────────────────────────────────────────────────────────────────────────

  frames[1].id = "map-b";
  frames[1].className = "folium-map";
  frames[0].after(frames[1]);
  document.body.classList.add("compare");
  const options = { ...window[frames[0].id].options, center: undefined, zoom: undefined, zoomAnimation: false };
  window[frames[0].id].remove();
  const maps = frames.map((frame) => L.map(frame, options));
  const dots = [];

  function draw(side, number) {
    const map = maps[number];
    const still = { interactive: false };
    const areas = (polygons, more) =>
      polygons.length && L.polygon(area(side, polygons), { ...still, stroke: false, ...more }).addTo(map);
    const lines = (each, more) =>
      each.length && L.polyline(each.map((one) => line(side, one)), { ...still, ...more }).addTo(map);
    areas(side.boundary, { stroke: true, color: colour("outline"), weight: 2, fill: false });
    for (const grid of side.grids) {
      const tint = grid.exclusive === null ? "tint-" + (grid.tint % 6) : "exclusive";
      areas(grid.shape, { fillColor: colour(tint), fillOpacity: 1 });
    }
    for (const [name, barrier] of Object.entries(side.barriers)) {
      areas(barrier.areas, { fillColor: colour(name), fillOpacity: 0.8 });
      lines(barrier.lines, { color: colour(name), weight: 5, opacity: 0.9 });
    }
    areas(side.ground, { fillColor: colour("building"), fillOpacity: 0.75 });
    for (const grid of side.grids) {
      areas(grid.shape, { stroke: true, fill: false, color: colour("outline"), weight: 2 });
    }
    lines(side.alleys.all, { color: colour("dark"), lineCap: "butt", weight: 2, dashArray: "6 5" });
    lines(side.alleys.lit, { color: colour("lit"), lineCap: "butt", weight: 4 });
    for (const lamp of side.lamps.filter((each) => !each.changed)) addLamp(side, map, lamp, {});
    const marked = number ? { color: colour("chosen"), weight: 4 }
      : { color: colour("fault"), weight: 4, dashArray: "3 4", fillColor: colour("paper") };
    for (const lamp of side.lamps.filter((each) => each.changed)) addLamp(side, map, lamp, marked);
    for (const grid of side.grids) if (grid.at) addSign(side, map, grid.at, "disc", String(grid.grid_id));
    for (const each of side.boards) {
      addSign(side, map, each.at, "board" + (each.changed ? " changed-" + changes[number] : ""), "栏");
    }
    for (const at of side.moved) if (at) addSign(side, map, at, "household", "");
  }

  function addLamp(side, map, lamp, more) {
    const standing = lamp.status === "existing";
    const plain = { color: colour("lamp-ring"), fillColor: colour(standing ? "paper" : "lamp"), weight: 1 };
    const dot = L.circleMarker(placeIn(side, lamp.at), { interactive: false, fillOpacity: 1, ...plain, ...more });
    dots.push({ dot: dot.addTo(map), more: lamp.changed ? 3 : 0 });
  }

  function addSign(side, map, at, name, text) {
    const icon = L.divIcon({ className: "sign " + name, html: element("span", text), iconSize: null });
    L.marker(placeIn(side, at), { icon: icon, interactive: false, keyboard: false }).addTo(map);
  }

  function sizeDots() {
    const zoom = maps[0].getZoom();
    for (const each of dots) each.dot.setRadius(Math.max(2, Math.min(8, 2 * (zoom - 15))) + each.more);
    for (const frame of frames) frame.classList.toggle("small-signs", zoom < 17);
  }

  // One map follows the other; where the pointer is on one, a ring shows it on the other.
  function moveTogether() {
    let following = false;
    maps.forEach((map, number) => {
      const other = maps[1 - number];
      map.on("move", () => {
        if (following) return;
        following = true;
        other.setView(map.getCenter(), map.getZoom(), { animate: false });
        following = false;
      });
      map.on("zoomend", sizeDots);
      const icon = L.divIcon({ className: "sign pointer", html: element("span"), iconSize: null });
      const pointer = L.marker([0, 0], { icon: icon, interactive: false, keyboard: false });
      map.on("mousemove", (event) => pointer.setLatLng(event.latlng).addTo(other));
      map.on("mouseout", () => pointer.remove());
      new ResizeObserver(() => map.invalidateSize(false)).observe(frames[number]);
    });
  }

  function addControls(map) {
    L.control.zoom({ position: "topright" }).addTo(map);
    const north = L.control({ position: "topleft" });
    north.onAdd = () => element("div", undefined, "north");
    north.addTo(map);
    const Scale = L.Control.Scale.extend({
      _updateMetric(maxMeters) {
        const length = this._getRoundNum(maxMeters);
        this._updateScale(this._mScale, say("metres", { n: length }), length / maxMeters);
      },
    });
    return new Scale({ imperial: false, maxWidth: 140, position: "topleft" }).addTo(map);
  }

  function showAll() {
    const [west, south, east, north] = view.frame;
    maps[0].fitBounds([[south, west], [north, east]], { animate: false, padding: [8, 8] });
  }

  function show(number, at) {
    const centre = placeIn(view.sides[number], at);
    maps[0].setView(centre, 19, { animate: false });
    for (const map of maps) {
      const ring = L.circleMarker(centre, { interactive: false, radius: 22, color: colour("ink"), weight: 3, fill: false });
      ring.addTo(map);
      setTimeout(() => ring.remove(), 4000);
    }
  }

  // ── what is told ────────────────────────────────────────────────────────────────────────────

  function table(headings, rows) {
    const made = element("table");
    const head = element("tr");
    for (const each of headings) head.append(element("th", word(each)));
    made.append(element("thead"), element("tbody"));
    made.tHead.append(head);
    for (const [at, ...cells] of rows) {
      const row = element("tr");
      cells.forEach((cell, column) => {
        const td = element("td");
        if (column === 0 && at) td.append(button(String(cell), () => show(at[0], at[1])));
        else td.textContent = cell === null ? "" : String(cell);
        row.append(td);
      });
      made.tBodies[0].append(row);
    }
    return made;
  }

  function fold(title, content) {
    const made = element("details");
    const scroll = element("div", undefined, "scroll");
    scroll.append(content);
    made.append(element("summary", title), scroll);
    return made;
  }

  function lists() {
    const moved = view.moved.map((each, row) => {
      const number = view.sides[1].moved[row] ? 1 : 0;
      const grids = [each.from_grids, each.became_grids, each.to_grids].map((ids) => ids.join(word("separator")));
      return [[number, view.sides[number].moved[row]], each.household_id, each.households, ...grids];
    });
    const made = [fold(say("moved_title", { n: moved.length }),
      table(["household_id", "households", "from_grid", "became_grid", "to_grid"], moved))];
    for (const [name, code] of [["lamps", "lamp_code"], ["boards", "board_code"]]) {
      changes.forEach((change, number) => {
        const places = new Map(view.sides[number][name].map((each) => [each[code], each]));
        const rows = view.changes[name][change].map((each) => {
          const drawn = places.get(each[code]);
          return [[number, drawn.at], each[code], each.site_id, drawn.alley, each.grid_id];
        });
        made.push(fold(say(name + "_" + change, { n: rows.length }), table([code, "site_id", "alley", "grid"], rows)));
      });
    }
    return made;
  }

  function legend() {
    return ["kept", ...changes, "moved"].map((name) => {
      const item = element("li");
      const swatch = element("span", undefined, "swatch swatch-" + name);
      swatch.setAttribute("aria-hidden", "true");
      item.append(swatch, element("span", word("legend_" + name)));
      return item;
    });
  }

  function showWords() {
    document.documentElement.lang = english ? "en" : "zh-CN";
    byId("title").textContent = document.title = say("compare_title", { name: view.name });
    for (const each of document.querySelectorAll("[data-text]")) each.textContent = word(each.dataset.text);
    byId("switch").textContent = word("switch");
    byId("switch").lang = english ? "zh-CN" : "en";
    byId("switch").setAttribute("aria-label", word("switch_label"));
    view.plans.forEach((plan, number) => {
      const which = word(number ? "later" : "earlier");
      const values = { which: which, id: plan.plan_id, date: plan.date };
      byId(number ? "name-b" : "name-a").textContent = say(plan.date ? "plan_label_date" : "plan_label", values);
      frames[number].setAttribute("aria-label", say("map_of", { which: which }));
      for (const [name, key] of [["in", "zoom_in"], ["out", "zoom_out"]]) {
        const control = frames[number].querySelector(".leaflet-control-zoom-" + name);
        control.title = word(key);
        control.setAttribute("aria-label", word(key));
      }
      const north = frames[number].querySelector(".north");
      north.textContent = word("north");
      north.setAttribute("role", "img");
      north.setAttribute("aria-label", word("north_label"));
      scales[number]._update();
    });
    byId("legend").replaceChildren(...legend());
    byId("lines").replaceChildren(
      ...view.lines.map((each) => element("p", each[english ? 1 : 0])), element("p", word("personal"), "small"),
    );
    byId("lists").replaceChildren(...lists());
  }

  for (const frame of frames) frame.setAttribute("role", "application");
  maps[0].setView([view.frame[1], view.frame[0]], 16);
  maps[1].setView([view.frame[1], view.frame[0]], 16);
  view.sides.forEach(draw);
  scales = maps.map(addControls);
  showWords();
  moveTogether();
  for (const map of maps) map.invalidateSize(false);
  showAll();
  sizeDots();
  byId("switch").addEventListener("click", () => { english = !english; showWords(); });
  byId("show-all").addEventListener("click", showAll);
})();
