"use strict";
// The planner's page: tables beside the map, layers on and off, distances and the survey's coordinates.
(function () {
  const { view, map, byId, colour, say, word, whole, percent, element, button, place, choose } = page;
  const frame = map.getContainer();
  const mostRows = 500; // of a table in the document at a time

  // ── the map's own additions ─────────────────────────────────────────────────────────────────

  function outlineStyle(grid) {
    return grid.fault
      ? { color: colour("fault"), weight: 4, dashArray: "10 6" }
      : { color: colour("outline"), weight: 2, dashArray: null };
  }

  const houses = L.layerGroup();
  const homes = view.tables.find((each) => each.name === "households");

  // A town has thousands: they are drawn when they are first asked for.
  function drawHouseholds() {
    if (houses.getLayers().length) return;
    const at = homes.columns.indexOf("grid_id");
    const tintOf = new Map(view.grids.map((grid) => [grid.grid_id, grid.tint % 6]));
    homes.rows.forEach((row, number) => {
      if (!homes.at[number]) return;
      const tint = tintOf.get(row[at]);
      const fill = tint === undefined ? "fault" : "house-" + tint;
      L.circleMarker(place(homes.at[number]), {
        interactive: false, radius: 4, weight: 1, color: colour("paper"), fillColor: colour(fill), fillOpacity: 1,
      }).addTo(houses);
    });
  }

  const commentSigns = L.layerGroup();

  function drawComments() {
    if (!view.comments) return;
    commentSigns.clearLayers().addTo(map);
    const at = view.comments.columns.indexOf("kind");
    view.comments.rows.forEach((row, number) => {
      const label = element("span", word("sign_" + row[at]));
      const icon = L.divIcon({ className: "sign comment " + row[at], html: label, iconSize: null });
      L.marker(place(view.comments.at[number]), { icon: icon, interactive: false, keyboard: false, zIndexOffset: 20000 }).addTo(commentSigns);
    });
  }

  // What every page draws, by name, in the order in which it lies on the map.
  const { tints, buildings } = page.drawn;
  const layers = { tints, buildings, alleys: [], lit: [], households: [houses], existing: [], new: [] };
  const bySign = ["numbers", "boards", "meetings", "names", "comments"];
  const off = new Set(["households"]);

  function sortLayers() {
    const { all, lit } = page.strokes;
    if (all) layers.alleys.push(all);
    if (lit) layers.lit.push(lit);
    page.lampDots.forEach((dot, number) => {
      layers[view.lamps[number].status === "existing" ? "existing" : "new"].push(dot);
    });
  }

  function showLayer(name, shown) {
    shown ? off.delete(name) : off.add(name);
    if (name === "households" && shown) drawHouseholds();
    if (bySign.includes(name)) frame.classList.toggle("no-" + name, !shown);
    else for (const layer of layers[name]) shown ? layer.addTo(map) : layer.remove();
    const above = Object.keys(layers).slice(2);
    for (const each of above) for (const layer of layers[each]) {
      if (!map.hasLayer(layer)) continue;
      layer.eachLayer ? layer.eachLayer((one) => one.bringToFront()) : layer.bringToFront();
    }
    for (const each of ["buildings", "tints"]) {
      for (const layer of layers[each]) if (map.hasLayer(layer)) layer.bringToBack();
    }
  }

  function presentLayers() {
    const present = {
      tints: layers.tints.length, numbers: view.grids.length, buildings: layers.buildings.length,
      households: homes && homes.at.some(Boolean), lit: layers.lit.length, alleys: layers.alleys.length,
      new: layers.new.length, existing: layers.existing.length, boards: view.boards.length,
      meetings: view.grids.some((grid) => grid.meeting), names: 1, comments: view.comments,
    };
    return Object.keys(present).filter((name) => present[name]);
  }

  function showSwitches() {
    byId("switches").replaceChildren(...presentLayers().map((name) => {
      const item = element("li");
      const label = element("label");
      const box = element("input");
      box.type = "checkbox";
      box.checked = !off.has(name);
      box.dataset.layer = name;
      box.addEventListener("change", () => showLayer(name, box.checked));
      label.append(box, element("span", say("layer_" + name)));
      item.append(label);
      return item;
    }));
  }

  // ── the survey's coordinates, and distances in them ─────────────────────────────────────────

  function surveyed(latlng) {
    const { middle, half, degree, east, north } = view.survey;
    const u = (latlng.lng - middle[0]) / half[0];
    const v = (latlng.lat - middle[1]) / half[1];
    if (Math.abs(u) > 1 || Math.abs(v) > 1) return null; // beyond the ground they hold for
    const at = [0, 0];
    let term = 0;
    for (let i = 0; i <= degree; i++) {
      for (let j = 0; j <= degree - i; j++, term++) {
        const power = u ** i * v ** j;
        at[0] += east[term] * power;
        at[1] += north[term] * power;
      }
    }
    return at;
  }

  const coordinates = element("div", undefined, "readout");
  coordinates.id = "coordinates";
  const length = element("div", undefined, "readout");
  length.id = "length";
  length.setAttribute("aria-live", "polite");

  function showCoordinates(latlng) {
    const at = surveyed(latlng);
    if (!at) return;
    const values = { east: at[0].toFixed(2), north: at[1].toFixed(2), crs: view.survey.crs, error: view.survey.error_m };
    coordinates.textContent = say("coordinates", values);
  }

  function addReadouts() {
    for (const each of [coordinates, length]) {
      const control = L.control({ position: "bottomleft" });
      control.onAdd = () => each;
      control.addTo(map);
    }
    map.on("mousemove click", (event) => showCoordinates(event.latlng));
  }

  let measured = null; // the points of the distance, their line and the sheet that catches taps

  function measure(on) {
    if (measured) {
      measured.sheet.remove();
      measured.line.remove();
      measured = null;
    }
    length.textContent = on ? say("measure_hint") : "";
    byId("measure").setAttribute("aria-pressed", String(on));
    if (!on) return;
    const sheet = element("div", undefined, "measuring");
    const line = L.polyline([], { interactive: false, color: colour("chosen"), weight: 4, dashArray: "8 6" });
    measured = { sheet: sheet, line: line.addTo(map), total: 0, last: null };
    sheet.addEventListener("click", (event) => {
      event.stopPropagation();
      if (!(map.dragging.moved && map.dragging.moved())) addPoint(map.mouseEventToLatLng(event));
    });
    frame.append(sheet);
  }

  function addPoint(latlng) {
    const at = surveyed(latlng);
    if (!at) return;
    if (measured.last) measured.total += Math.hypot(at[0] - measured.last[0], at[1] - measured.last[1]);
    measured.last = at;
    measured.line.addLatLng(latlng);
    length.textContent = say("measured", { n: measured.total.toFixed(1), crs: view.survey.crs });
  }

  // ── tables ──────────────────────────────────────────────────────────────────────────────────

  const keyOf = { grids: ["grid", "grid_id"], lamps: ["lamp", "lamp_code"], boards: ["board", "board_code"] };
  const sorted = {}; // table → column and direction
  let ring = null;

  // The row's place on the map, with a ring around it; grids, lamps and boards tell their figures too.
  function goTo(table, number) {
    if (ring) ring.remove();
    ring = null;
    if (keyOf[table.name]) {
      const [kind, key] = keyOf[table.name];
      const value = table.rows[number][table.columns.indexOf(key)];
      const item = view[table.name].find((each) => each[key] === value);
      if (item) choose({ kind: kind, item: item }, true);
      return;
    }
    const at = place(table.at[number]);
    ring = L.circleMarker(at, { interactive: false, radius: 16, color: colour("chosen"), weight: 4, fill: false }).addTo(map);
    map.fitBounds(at.toBounds(80), { maxZoom: 19 });
  }

  function compareValues(one, other) {
    if (one === null || other === null) return (one === null) - (other === null); // what is empty comes last
    if (typeof one === "number" && typeof other === "number") return one - other;
    return String(one) < String(other) ? -1 : String(one) > String(other) ? 1 : 0;
  }

  function orderOf(table, wanted) {
    const text = wanted.trim().toLowerCase();
    const numbers = table.rows.map((_, number) => number).filter(
      (number) => !text || table.rows[number].some((value) => String(value ?? "").toLowerCase().includes(text)),
    );
    const by = sorted[table.name];
    if (!by) return numbers;
    return numbers.sort((one, other) => {
      const [a, b] = [table.rows[one][by.column], table.rows[other][by.column]];
      const order = compareValues(a, b);
      return (a === null || b === null ? order : by.down ? -order : order) || one - other;
    });
  }

  // Coded values as people read them.
  const codes = {
    kind: { ordinary: "ordinary", exclusive: "exclusive" },
    status: { existing: "existing", candidate: "new", required: "new" },
    mount: { pole: "mount_pole", wall: "mount_wall" },
    unchosen_why: { lit: "why_lit", "no-site": "why_no-site", "site-barred": "why_site-barred", "gains-less": "why_gains-less" },
  };

  function textOf(value, column, table) {
    if (value === null) return "";
    if (table.name === "comments" && column === "kind") return word("kind_" + value);
    if (table.name === "comments" && column === "time") return value.replace("T", " ");
    const key = codes[column]?.[value];
    return key ? word(key) : String(value);
  }

  // A heading with its unit; figures without one are counts, codes and shares.
  function headingOf(table, column) {
    const unit = table.units?.[column];
    return word(table.columns[column]) + (unit ? " (" + (unit === "m" ? word("metre") : unit) + ")" : "");
  }

  function tableOf(table) {
    const made = element("table");
    const head = element("tr");
    const count = element("span", undefined, "small");
    const find = element("input");
    find.type = "search";
    find.setAttribute("aria-label", say("find"));
    find.placeholder = say("find");
    table.columns.forEach((_, column) => {
      const cell = element("th");
      const by = button(headingOf(table, column), () => {
        sorted[table.name] = { column: column, down: sorted[table.name]?.column === column && !sorted[table.name].down };
        fill();
      });
      cell.append(by);
      head.append(cell);
    });
    made.append(element("thead"), element("tbody"));
    made.tHead.append(head);

    function fill() {
      [...head.children].forEach((cell, column) => {
        const by = sorted[table.name];
        if (!by || by.column !== column) cell.removeAttribute("aria-sort");
        else cell.setAttribute("aria-sort", by.down ? "descending" : "ascending");
        cell.firstChild.textContent = headingOf(table, column) + (by?.column === column ? (by.down ? " ▼" : " ▲") : "");
      });
      const numbers = orderOf(table, find.value);
      count.textContent = say("rows_shown", { shown: Math.min(numbers.length, mostRows), n: table.rows.length });
      made.tBodies[0].replaceChildren(...numbers.slice(0, mostRows).map(rowOf));
    }

    function rowOf(number) {
      const row = element("tr");
      table.rows[number].forEach((value, column) => {
        const cell = element("td");
        const text = textOf(value, table.columns[column], table);
        if (column === 0 && table.at[number]) {
          cell.append(button(text, () => {
            for (const each of made.querySelectorAll("tr.chosen")) each.classList.remove("chosen");
            row.classList.add("chosen");
            goTo(table, number);
          }));
        } else {
          cell.textContent = text;
        }
        cell.className = typeof value === "number" ? "number" : text.length > 24 ? "long" : "";
        row.append(cell);
      });
      return row;
    }

    find.addEventListener("input", fill);
    fill();
    const above = element("div", undefined, "find");
    above.append(find, count);
    const scroll = element("div", undefined, "scroll");
    scroll.tabIndex = 0;
    scroll.append(made);
    return [above, scroll];
  }

  function remarkItem(remark) {
    const item = element("li");
    const where = [remark.layer, remark.column].filter(Boolean).join(".");
    item.append(element("p", (where ? where + ": " : "") + remark.message));
    if (remark.ids.length) {
      const more = remark.n > remark.ids.length ? " …" : "";
      item.append(element("p", remark.ids.join(say("separator")) + more, "small"));
    }
    if (remark.remedy) item.append(element("p", remark.remedy, "small"));
    if (remark.box) {
      const bounds = L.latLngBounds(remark.box.map(place));
      item.append(button(say("show"), () => map.fitBounds(bounds, { maxZoom: 19, padding: [40, 40] })));
    }
    return item;
  }

  function remarksOf() {
    return Object.entries(view.remarks).filter(([, list]) => list.length).map(([kind, list]) => {
      const made = element("details");
      made.open = kind !== "notes";
      const items = element("ul", undefined, "remarks " + kind);
      items.append(...list.map(remarkItem));
      made.append(element("summary", say(kind) + " " + list.length), items);
      return made;
    });
  }

  const figure = { count: whole, metres: (value) => page.say("metres", { n: whole(value) }), share: (value) => percent(value) + " %" };

  function todayOf() {
    const made = element("table");
    const head = element("tr");
    for (const name of ["", "today", "planned"]) head.append(element("th", name && word(name)));
    made.append(element("thead"), element("tbody"));
    made.tHead.append(head);
    for (const each of view.today) {
      const row = element("tr");
      row.append(element("td", word(each.name)));
      for (const when of ["today", "planned"]) row.append(element("td", each[when] === null ? "" : figure[each.kind](each[when]), "number"));
      made.tBodies[0].append(row);
    }
    return [made];
  }

  function earlierOf() {
    const lines = view.earlier.lines.map((each) => element("p", each[document.documentElement.lang === "en" ? 1 : 0]));
    return [...lines, ...view.earlier.tables.flatMap((table) => [
      element("h3", say(table.name) + " " + table.rows.length), ...tableOf(table),
    ])];
  }

  // ── tabs ────────────────────────────────────────────────────────────────────────────────────

  const n = Object.values(view.remarks).reduce((sum, list) => sum + list.length, 0);
  const titles = { households: "households_tab" };
  const tabs = [
    { name: "remarks", title: () => say("remarks_tab", { n: n }), content: remarksOf },
    ...view.tables.map((table) => ({
      name: table.name, title: () => say(titles[table.name] ?? table.name) + " " + table.rows.length, content: () => tableOf(table),
    })),
    ...(view.comments ? [{
      name: "comments", title: () => say("comments_tab", { n: view.comments.rows.length }), content: () => tableOf(view.comments),
    }] : []),
    ...(view.today.length ? [{ name: "today", title: () => say("today_tab"), content: todayOf }] : []),
    ...(view.earlier ? [{ name: "earlier", title: () => say("earlier_tab"), content: earlierOf }] : []),
    { name: "layers", title: () => say("layers"), content: () => [] },
  ];
  let tab = view.remarks.faults.length || !view.tables.length ? "remarks" : view.tables[0].name;

  function showTab() {
    document.body.dataset.tab = tab;
    byId("tabs").replaceChildren(...tabs.map((each) => {
      const made = button(each.title(), () => { tab = each.name; showTab(); });
      made.setAttribute("aria-pressed", String(each.name === tab));
      made.dataset.tab = each.name;
      return made;
    }));
    byId("tables").replaceChildren(...tabs.find((each) => each.name === tab).content());
  }

  function smallPrint(figures) {
    const lines = [];
    if ("n_mixed" in figures) {
      lines.push(say("groups_mixed", { n: whole(figures.n_mixed), share: percent(figures.outside_share) }));
      const more = { each: figures.groups_walk_each_m, total: whole(figures.groups_walk_m) };
      lines.push(say("groups_walk", more));
    }
    return [...lines, say("personal")];
  }

  page.styleOutlines(outlineStyle);
  page.remarks.push(smallPrint);
  page.shows.push(showTab, showSwitches, drawComments, () => { if (!measured) length.textContent = ""; });
  page.start();
  sortLayers();
  addReadouts();
  showSwitches();
  byId("measure").addEventListener("click", () => measure(!measured));
  window.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    measure(false);
    if (ring) ring.remove();
  });
})();
