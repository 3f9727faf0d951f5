"use strict";
// The residents' page: find my house, night view, how many lamps, when, say something.
(function () {
  const {
    view, map, frame, byId, colour, say, whole, metres, percent, element, button, place, line, rows, gridTitle,
    inside, outlines, coveredAbove, coveredBelow, sizes, showLight, openPanel,
  } = page;
  const light = view.light;
  const panels = ["find", "night", "lamps", "when", "note"].filter((name) => ({
    night: light !== null, lamps: light !== null && light.order.length > 0, when: view.quarters.length > 0,
  }[name] ?? true));
  const open = () => document.body.dataset.panel;
  const overlay = (name, zIndex) => {
    const pane = map.createPane(name);
    pane.style.zIndex = zIndex;
    pane.style.pointerEvents = "none";
    return L.canvas({ pane: name, padding: 0.3 });
  };
  const toBounds = (points) => L.latLngBounds(points.map(place));

  function look(bounds) {
    map.fitBounds(bounds, {
      paddingTopLeft: [40, coveredAbove() + 40], paddingBottomRight: [40, coveredBelow() + 40], maxZoom: 19.5,
    });
  }

  function pressed(buttons, chosen) {
    for (const each of buttons) each.setAttribute("aria-pressed", String(each === chosen));
  }

  // ── find my house ───────────────────────────────────────────────────────────────────────────

  const spots = view.find.spots.map(([x, y, alley, way, before, lit, board, boardWalk, ...pairs]) => {
    const grids = [];
    for (let i = 0; i < pairs.length; i += 2) grids.push({ id: pairs[i], walk: pairs[i + 1] });
    return { at: [x, y], alley: view.find.alleys[alley], way, before, lit, board, boardWalk, grids };
  });
  const spotsOf = new Map(); // alley name → its spots, from one end to the other
  for (const spot of spots) {
    const name = spot.alley.name;
    if (name !== null) spotsOf.set(name, [...(spotsOf.get(name) || []), spot]);
  }
  const names = [...spotsOf.keys()].sort((a, b) => a.localeCompare(b, "zh-CN"));
  const gridOf = new Map(view.grids.map((grid) => [grid.grid_id, grid]));
  const marks = L.layerGroup();
  const markPen = overlay("marks", 620);
  let found = null; // { spot, grid }
  let alleyName = null;

  function offerNames() {
    const typed = byId("alley-name").value.trim().toLowerCase();
    const fitting = names.filter((name) => name.toLowerCase().includes(typed));
    const numbers = typed ? view.find.doors.filter(([number]) => number.toLowerCase().includes(typed)).slice(0, 30) : [];
    const offered = [
      ...fitting.map((name) => [name, () => chooseAlley(name)]),
      ...numbers.map(([number, spot]) => [say("door", { number: number }), () => chooseSpot(spots[spot])]),
    ];
    byId("alley-names").replaceChildren(...offered.map(([name, act]) => {
      const item = element("li");
      item.append(button(name, act));
      return item;
    }));
    if (typed && !offered.length) byId("alley-names").append(element("li", say("no_alley")));
  }

  function chooseAlley(name) {
    const list = spotsOf.get(name);
    chooseSpot(list[Math.floor(list.length / 2)]);
  }

  function chooseSpot(spot) {
    alleyName = spot.alley.name;
    byId("alley-name").value = "";
    show({ spot: spot, grid: null });
    const around = alleyName === null ? [spot] : spotsOf.get(alleyName);
    const beside = spot.grids.find((each) => gridOf.has(each.id)); // the next ward's grids are on its own page
    const grid = beside && gridOf.get(beside.id);
    const goals = [grid && grid.meeting, spot.board === null ? null : view.boards[spot.board].at];
    look(toBounds([...around.map((each) => each.at), ...goals.filter(Boolean)]).pad(0.1));
    byId(around.length > 1 ? "along" : "again").focus({ preventScroll: true });
  }

  function findAt(latlng) {
    const grid = view.grids.find((each) => inside(latlng, outlines.get(each.grid_id).getLatLngs()));
    const away = (spot) => map.distance(place(spot.at), latlng);
    const near = (list) => list.reduce((best, spot) => (best && away(best) <= away(spot) ? best : spot), null);
    const own = grid ? spots.filter((spot) => spot.grids.some((each) => each.id === grid.grid_id)) : [];
    const spot = near(own.length ? own : spots);
    if (!spot || away(spot) > 150) return;
    alleyName = spot.alley.name;
    show({ spot: spot, grid: own.length ? grid.grid_id : null });
  }

  function searchAgain() {
    found = alleyName = null;
    byId("place").hidden = true;
    byId("search").hidden = false;
    offerNames();
    showAnswer();
    byId("alley-name").focus({ preventScroll: true });
  }

  function show(what) {
    found = what;
    const list = alleyName === null ? [] : spotsOf.get(alleyName);
    byId("place").hidden = false;
    byId("search").hidden = true;
    byId("along").max = Math.max(0, list.length - 1);
    byId("along").value = Math.max(0, list.indexOf(what.spot));
    byId("along").hidden = document.querySelector("label[for=along]").hidden = list.length < 2;
    showAnswer();
  }

  function mark(at, radius, style) {
    return L.circleMarker(place(at), { renderer: markPen, interactive: false, radius: radius, ...style }).addTo(marks);
  }

  function showAnswer() {
    marks.clearLayers();
    byId("find-how").textContent = say(found ? "find_tap" : "find_how");
    if (!found) return;
    const spot = found.spot;
    const own = spot.grids.find((each) => each.id === found.grid) || spot.grids.find((each) => gridOf.has(each.id)) || null;
    const grid = own && gridOf.get(own.id);
    const others = spot.grids.filter((each) => each !== own).map((each) => say("grid_title", { id: each.id }));
    const board = spot.board === null ? null : view.boards[spot.board];
    const ring = { color: colour("chosen"), weight: 4, fill: false };
    if (grid && grid.meeting) mark(grid.meeting, 17, ring);
    if (board) mark(board.at, 17, ring);
    const unchosen = spot.alley.at;
    if (unchosen) mark(unchosen, 8, { color: colour("fault"), weight: 3, dashArray: "4 4", fill: false });
    mark(spot.at, 9, { color: colour("paper"), weight: 3, fillColor: colour("chosen"), fillOpacity: 1 });
    const walk = (where, distance) => (distance === null ? where : say("place_walk", { place: where, walk: metres(distance) }));
    const pairs = [["alley", spot.alley.name]];
    if (grid) {
      pairs.push(
        ["grid", grid.households === null ? gridTitle(grid)
          : say("grid_value", { title: gridTitle(grid), n: whole(grid.households) })],
        ["leader_role", page.role(grid.leader_role)],
        ["meeting_point", grid.meeting && walk(grid.meeting_alley === null ? say("starred")
          : say("on_alley", { name: grid.meeting_alley }), own.walk)],
      );
    }
    if (board) {
      const where = board.alley === null ? board.board_code : say("board_on", { code: board.board_code, name: board.alley });
      pairs.push(["nearest_board", walk(where, spot.boardWalk)]);
    }
    if (spot.way !== null) pairs.push(["way_home", say("way_value", { way: spot.way, before: spot.before })]);
    if (spot.lit !== null) pairs.push(["this_place", say(spot.lit ? "place_lit" : "place_dark")]);
    const parts = [rows(pairs), ...whyNot(spot)];
    if (others.length) parts.push(element("p", say("beside", { grids: others.join(say("separator")) }), "small"));
    parts.push(element("p", say("place_caution"), "small"));
    byId("answer").replaceChildren(...parts);
  }

  function whyNot(spot) {
    const alley = spot.alley;
    if (alley.lit === undefined) return [];
    const told = [];
    if (alley.n_new) told.push(say("why_has", { n: alley.n_new, lit: alley.lit }));
    else if (alley.why === "lit") told.push(say("why_all_lit"));
    else if (alley.why === "no-site") told.push(say("why_none"));
    else if (alley.why === "site-barred") told.push(say("why_barred"));
    else if (alley.why === "gains-less" && view.find.least_gain_m !== null) {
      told.push(say("why_less", { gain: alley.gain_m, least: view.find.least_gain_m }));
    }
    return told.length ? [element("h3", say("why_title")), ...told.map((each) => element("p", each))] : [];
  }

  byId("alley-name").addEventListener("input", offerNames);
  byId("again").addEventListener("click", searchAgain);
  byId("along").addEventListener("input", () => {
    show({ spot: spotsOf.get(alleyName)[Number(byId("along").value)], grid: null });
    if (!map.getBounds().contains(place(found.spot.at))) map.panTo(place(found.spot.at));
  });

  // ── night view: today on the left of the bar, as planned on the right ─────────────────────────

  const nightPens = light && { today: overlay("today", 410), planned: overlay("planned", 411) };
  const nights = light && { today: L.layerGroup(), planned: L.layerGroup() };
  const glows = []; // [line, how much wider than the bright core]

  function drawNight() {
    const shines = { today: (piece) => piece.since === 0, planned: (piece) => piece.planned };
    for (const side of ["today", "planned"]) {
      const lines = light.pieces.filter(shines[side]).flatMap((piece) => piece.lines).map(line);
      for (const [width, opacity] of [[5.5, 0.13], [3, 0.28], [1, 1]]) {
        const glow = L.polyline(lines, {
          renderer: nightPens[side], interactive: false, color: colour(width > 1 ? "glow" : "glow-core"), opacity: opacity,
        });
        glows.push([glow.addTo(nights[side]), width]);
      }
      for (const lamp of view.lamps.filter((each) => side === "planned" || each.status === "existing")) {
        const dot = L.circleMarker(place(lamp.at), {
          renderer: nightPens[side], interactive: false, stroke: false, fillColor: colour("paper"), fillOpacity: 1, radius: 2,
        });
        dot.addTo(nights[side]);
      }
    }
  }

  function sizeGlows() {
    const core = sizes().lit;
    for (const [glow, width] of glows) glow.setStyle({ weight: width * core });
  }

  function swipeTo(share) {
    byId("swipe").value = share;
    clipNight();
    const buttons = { 100: "night-today", 50: "night-both", 0: "night-planned" };
    pressed(Object.values(buttons).map(byId), buttons[share] ? byId(buttons[share]) : null);
  }

  function clipNight() {
    if (open() !== "night") return;
    const size = map.getSize();
    const x = (Number(byId("swipe").value) / 100) * size.x;
    const [from, to] = [map.containerPointToLayerPoint([0, 0]), map.containerPointToLayerPoint(size)];
    const middle = from.x + x;
    map.getPane("today").style.clip = `rect(${from.y}px, ${middle}px, ${to.y}px, ${from.x}px)`;
    map.getPane("planned").style.clip = `rect(${from.y}px, ${to.x}px, ${to.y}px, ${middle}px)`;
    byId("swipe-box").querySelector(".swipe-line").style.left = x + "px";
  }

  function openNight(isOpen) {
    if (!light) return;
    if (isOpen === document.body.classList.contains("dark-sky")) return;
    document.body.classList.toggle("dark-sky", isOpen);
    page.repaint();
    byId("swipe-box").hidden = !isOpen;
    if (isOpen && !glows.length) drawNight();
    for (const side of Object.values(nights)) isOpen ? side.addTo(map) : side.remove();
    if (isOpen) { sizeGlows(); swipeTo(Number(byId("swipe").value)); }
  }

  // ── how many lamps ──────────────────────────────────────────────────────────────────────────

  const orderPen = light && overlay("order", 412);
  const orderDots = []; // of each lamp of the order
  const orderLines = []; // [lamps until lit, line]
  const litAfter = light ? [light.before_m] : [];
  if (light) for (const [, , gain] of light.order) litAfter.push(litAfter[litAfter.length - 1] + gain);
  let ringed = null;

  function drawOrder() {
    for (const piece of light.pieces.filter((each) => each.since !== null)) {
      const options = { renderer: orderPen, interactive: false, color: colour("lit"), lineCap: "butt" };
      orderLines.push([piece.since, L.polyline(piece.lines.map(line), options)]);
    }
    for (const [x, y] of light.order) {
      orderDots.push(L.circleMarker(place([x, y]), {
        renderer: orderPen, interactive: false, color: colour("lamp-ring"), fillColor: colour("lamp"), fillOpacity: 1,
      }));
    }
    ringed = L.circleMarker(place(light.order[0]), {
      renderer: orderPen, interactive: false, radius: 15, color: colour("chosen"), weight: 4, fill: false,
    });
  }

  function sizeOrder() {
    const now = sizes();
    for (const [, each] of orderLines) each.setStyle({ weight: now.lit });
    for (const dot of orderDots) dot.setRadius(now.lamp).setStyle({ weight: now.ring });
  }

  const planned = () => Math.min(view.figures.n_lamps, light.order.length);

  function showNumber() {
    const n = Number(byId("n-lamps").value);
    const lit = litAfter[n];
    const figures = byId("lamps-figures");
    const share = percent(light.alley_m ? lit / light.alley_m : 0);
    figures.replaceChildren(element("strong", say("lamps_value", { n: whole(n), lit: whole(lit), share: share })));
    if (n) figures.append(element("span", say("lamps_last", { n: n, gain: Math.round(10 * light.order[n - 1][2]) / 10 })));
    if (n === planned()) {
      const plan = { lit: whole(view.figures.lit_m), share: percent(view.figures.share_lit) };
      figures.append(element("span", say("lamps_plan", plan)));
    }
    byId("n-lamps").setAttribute("aria-valuetext", say("lamps_value", { n: whole(n), lit: whole(lit), share: share }));
    byId("as-planned").textContent = say("as_planned", { n: whole(view.figures.n_lamps) });
    byId("as-planned").setAttribute("aria-pressed", String(n === planned()));
    byId("lamps-curve").style.setProperty("--at", n / light.order.length);
    if (open() !== "lamps") return;
    for (const [since, each] of orderLines) since <= n ? each.addTo(map) : each.remove();
    orderDots.forEach((dot, row) => (row < n ? dot.addTo(map) : dot.remove()));
    n ? ringed.setLatLng(orderDots[n - 1].getLatLng()).addTo(map) : ringed.remove();
    byId("curve-at").setAttribute("x1", (300 * n) / light.order.length);
    byId("curve-at").setAttribute("x2", (300 * n) / light.order.length);
  }

  function openLamps(isOpen) {
    if (!light || !light.order.length) return;
    if (isOpen && !orderDots.length) drawOrder();
    if (!isOpen) {
      for (const [, each] of orderLines) each.remove();
      for (const dot of [...orderDots, ...(ringed ? [ringed] : [])]) dot.remove();
      return;
    }
    sizeOrder();
    showNumber();
  }

  function drawCurve() {
    const svg = byId("lamps-curve");
    const n = light.order.length;
    const shape = (tag, name, more) => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
      made.setAttribute("class", name);
      for (const [key, value] of Object.entries(more)) made.setAttribute(key, value);
      svg.append(made);
      return made;
    };
    const at = litAfter.map((lit, i) => [(300 * i) / n, 90 - 88 * (light.alley_m ? lit / light.alley_m : 0)]);
    const points = at.map((each) => each.map((one) => one.toFixed(1)).join(",")).join(" ");
    shape("polygon", "curve-area", { points: "0,90 " + points + " 300,90" });
    shape("polyline", "curve-line", { points: points });
    const x = (300 * planned()) / n;
    shape("line", "curve-planned", { x1: x, x2: x, y1: 0, y2: 90 });
    shape("line", "curve-at", { id: "curve-at", x1: x, x2: x, y1: 0, y2: 90 });
    byId("lamps-mark").style.left = (100 * planned()) / n + "%";
  }

  function toNumber(n) {
    byId("n-lamps").value = n;
    showNumber();
  }

  // ── when ────────────────────────────────────────────────────────────────────────────────────

  let quarter = 0;

  function showQuarters() {
    if (!view.quarters.length) return;
    byId("quarters").replaceChildren(...view.quarters.map((each, row) => {
      const made = button(each.quarter, () => { quarter = row; showQuarters(); openWhen(true); });
      made.setAttribute("aria-pressed", String(row === quarter));
      return made;
    }));
    const each = view.quarters[quarter];
    byId("when-figures").textContent = say("when_value", {
      quarter: each.quarter, lamps: each.lamps.length, boards: each.boards.length,
    });
  }

  // Lamps up to the quarter are shown, those of the quarter itself with a ring.
  function openWhen(isOpen) {
    if (!view.quarters.length) return;
    if (!isOpen) return;
    marks.clearLayers();
    const built = new Set(view.quarters.slice(0, quarter + 1).flatMap((each) => each.lamps));
    const dated = new Set(view.quarters.flatMap((each) => each.lamps));
    showLight(false, (lamp, row) => !dated.has(row) || built.has(row));
    const ring = { color: colour("chosen"), weight: 3, fill: false };
    for (const row of view.quarters[quarter].lamps) mark(view.lamps[row].at, 11, ring);
    for (const row of view.quarters[quarter].boards) mark(view.boards[row].at, 17, ring);
  }

  // ── say something ───────────────────────────────────────────────────────────────────────────

  const KINDS = ["too-dark", "broken", "good", "other"];
  const KEY = "alleyplan-notes:" + view.about.name;
  let notes = [];
  let draft = { kind: null, at: null };

  function readNotes() {
    try {
      const kept = JSON.parse(window.localStorage.getItem(KEY) || "[]");
      notes = kept.filter((each) => KINDS.includes(each.kind) && each.at.every(Number.isFinite));
    } catch {
      notes = [];
    }
  }

  // Some browsers keep nothing for a page opened from a file: the notes then last until it is closed.
  function keepNotes() {
    try {
      window.localStorage.setItem(KEY, JSON.stringify(notes));
      return true;
    } catch {
      return false;
    }
  }

  function showNotes() {
    byId("kinds").replaceChildren(...KINDS.map((kind) => {
      const made = button(say("kind_" + kind), () => { draft.kind = kind; showNotes(); });
      made.setAttribute("aria-pressed", String(draft.kind === kind));
      return made;
    }));
    byId("note-place").textContent = say(draft.at ? "note_placed" : "note_tap");
    byId("note-save").hidden = !notes.length;
    byId("note-save").textContent = say("note_save", { n: notes.length });
    byId("notes").replaceChildren(...notes.map((each, row) => {
      const item = element("li");
      item.append(element("span", say("kind_" + each.kind) + (each.note ? say("colon") + each.note : "")));
      const drop = button("×", () => { notes.splice(row, 1); keepNotes(); showNotes(); });
      drop.setAttribute("aria-label", say("note_drop"));
      item.append(drop);
      return item;
    }));
    if (open() !== "note") return;
    marks.clearLayers();
    for (const each of notes) {
      L.circleMarker([each.at[1], each.at[0]], {
        renderer: markPen, interactive: false, radius: 9, color: colour("paper"), weight: 2, fillColor: colour("fault"), fillOpacity: 1,
      }).addTo(marks);
    }
    if (draft.at) {
      L.circleMarker(draft.at, {
        renderer: markPen, interactive: false, radius: 13, color: colour("fault"), weight: 4, fill: false,
      }).addTo(marks);
    }
  }

  function placeNote(latlng) {
    draft.at = latlng;
    byId("note-state").textContent = "";
    showNotes();
  }

  function addNote() {
    if (!draft.kind || !draft.at) {
      byId("note-state").textContent = say(draft.kind ? "note_needs_place" : "note_needs_kind");
      return;
    }
    const now = new Date();
    const two = (n) => String(n).padStart(2, "0");
    const sixth = (degrees) => Math.round(1e6 * degrees) / 1e6;
    notes.push({
      kind: draft.kind, note: byId("note-text").value.trim(), at: [sixth(draft.at.lng), sixth(draft.at.lat)],
      time: `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`, plan_id: view.about.plan_id,
    });
    draft = { kind: null, at: null };
    byId("note-text").value = "";
    byId("note-state").textContent = say(keepNotes() ? "note_kept" : "note_not_kept");
    showNotes();
  }

  function saveNotes() {
    const features = notes.map((each) => ({
      type: "Feature",
      geometry: { type: "Point", coordinates: each.at },
      properties: {
        kind: each.kind, note: each.note, time: each.time, community: view.about.name, plan_id: each.plan_id,
      },
    }));
    const text = JSON.stringify({ type: "FeatureCollection", features: features }, null, 1);
    const link = element("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/geo+json" }));
    link.download = "notes-" + view.about.plan_id + ".geojson";
    document.body.append(link);
    link.click();
    link.remove();
    window.setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    byId("note-state").textContent = say("note_saved");
  }

  // ── panels, keys ────────────────────────────────────────────────────────────────────────────

  const openers = [...document.querySelectorAll("[data-opens]")];

  function onOpen(name) {
    pressed(openers, openers.find((each) => each.dataset.opens === name));
    marks.clearLayers();
    showLight(name !== "night" && name !== "lamps" && name !== "when", (lamp) =>
      name !== "night" && (name !== "lamps" || lamp.status === "existing"));
    openNight(name === "night");
    openLamps(name === "lamps");
    openWhen(name === "when");
    if (name === "find") showAnswer();
    if (name === "note") showNotes();
    byId("panel").scrollTop = 0;
    page.keepWhole();
  }

  function onTap(event) {
    if (open() === "find") findAt(event.latlng);
    else if (open() === "note") placeNote(event.latlng);
    else if (open() !== "night") {
      const facility = page.nearest("facility", view.facilities, event.containerPoint, 20);
      if (facility) page.choose(facility, false);
      return facility !== null;
    }
    return true;
  }

  page.describe.facility = (facility) => [
    say("facility_title", { name: facility.facility }),
    [
      ["alley", facility.alley],
      ["grid", facility.grid_id === null ? null : say("grid_title", { id: facility.grid_id })],
      ["served", facility.served === null ? null : whole(facility.served)],
    ],
  ];

  const SLIDES = { find: "along", night: "swipe", lamps: "n-lamps" };

  function onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const at = event.target;
    if (at.matches("input[type=text], textarea")) return;
    const number = Number(event.key);
    if (number >= 1 && number <= panels.length) openPanel(panels[number - 1]);
    else if (event.key === "f" || event.key === "F") {
      if (document.fullscreenElement) document.exitFullscreen();
      else if (document.documentElement.requestFullscreen) document.documentElement.requestFullscreen().catch(() => {});
    } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      const slide = byId(SLIDES[open()] || "");
      if (!slide || slide.hidden || !slide.offsetParent || at === slide || at === frame || at.type === "range") return;
      event.key === "ArrowRight" ? slide.stepUp() : slide.stepDown();
      slide.dispatchEvent(new Event("input"));
      event.preventDefault();
    }
  }

  function showWords() {
    byId("search-label").textContent = say(view.find.doors.length ? "alley_or_door" : "alley_name");
    offerNames();
    showAnswer();
    showQuarters();
    showNotes();
    if (light) {
      byId("night-figures").textContent = say("night_value", {
        before: percent(view.figures.share_before), share: percent(view.figures.share_lit),
      });
    }
    if (panels.includes("lamps")) showNumber();
    for (const each of openers) {
      const number = panels.indexOf(each.dataset.opens) + 1;
      each.hidden = !number;
      each.dataset.key = number;
    }
  }

  // A ward's page lies in a folder that is called as the town's page is: map/01.html beside map.html.
  function leadToTown() {
    const folder = window.location.pathname.split("/").slice(-2)[0];
    byId("to-town").href = "../" + folder + ".html";
    byId("to-town").hidden = false;
  }

  // The town's page names the alley that was looked for.
  function followName() {
    const name = new URLSearchParams(window.location.hash.slice(1)).get("alley");
    if (!spotsOf.has(name)) return;
    openPanel("find");
    chooseAlley(name);
  }

  // The settings' address for comments, as a code for another phone and as a link for this one.
  function showWhereToSend() {
    if (!view.comments) return;
    const { address, code } = view.comments;
    const quiet = 4;
    const side = code.length + 2 * quiet;
    const dark = document.createElementNS("http://www.w3.org/2000/svg", "path");
    const runs = code.flatMap((row, y) => [...row.matchAll(/1+/g)].map((run) => `M${run.index + quiet} ${y + quiet}h${run[0].length}v1h-${run[0].length}z`));
    dark.setAttribute("d", runs.join(""));
    byId("say-code").setAttribute("viewBox", `0 0 ${side} ${side}`);
    byId("say-code").append(dark);
    const link = element("a", address);
    link.id = "say-link";
    link.href = address;
    link.rel = "noopener noreferrer";
    byId("say-at").append(link);
    byId("say-online").hidden = false;
  }

  function addWholeMap() {
    const control = L.control({ position: "topright" });
    control.onAdd = () => {
      const made = element("button", undefined, "whole-map");
      made.type = "button";
      made.id = "show-all";
      made.dataset.text = "whole_map";
      L.DomEvent.disableClickPropagation(made);
      return made;
    };
    control.addTo(map);
  }

  function drawFacilities() {
    for (const each of view.facilities) {
      const icon = L.divIcon({ className: "sign facility", html: element("span", say("facility_sign")), iconSize: null });
      L.marker(place(each.at), { icon: icon, interactive: false, keyboard: false }).addTo(map);
    }
  }

  for (const each of openers) {
    each.addEventListener("click", () => openPanel(open() === each.dataset.opens ? "legend" : each.dataset.opens));
  }
  if (light) {
    byId("swipe").addEventListener("input", () => swipeTo(Number(byId("swipe").value)));
    for (const [id, share] of [["night-today", 100], ["night-both", 50], ["night-planned", 0]]) {
      byId(id).addEventListener("click", () => swipeTo(share));
    }
    map.on("move zoom resize moveend viewreset", clipNight);
    map.on("zoomend", () => { sizeGlows(); sizeOrder(); });
  }
  if (panels.includes("lamps")) {
    byId("n-lamps").max = light.order.length;
    byId("n-lamps").value = planned();
    byId("n-lamps").addEventListener("input", showNumber);
    byId("fewer").addEventListener("click", () => toNumber(Number(byId("n-lamps").value) - 10));
    byId("more").addEventListener("click", () => toNumber(Number(byId("n-lamps").value) + 10));
    byId("as-planned").addEventListener("click", () => toNumber(planned()));
    drawCurve();
  }
  byId("note-here").addEventListener("click", () => placeNote(map.getCenter()));
  byId("note-add").addEventListener("click", addNote);
  byId("note-save").addEventListener("click", saveNotes);
  window.addEventListener("keydown", onKey);
  window.addEventListener("beforeprint", () => openPanel("legend"));

  for (const name of ["night", "lamps", "when"]) if (!panels.includes(name)) byId(name).remove();
  showWhereToSend();
  readNotes();
  marks.addTo(map);
  addWholeMap();
  page.legends.push(["facility", view.facilities.length, say("facility_sign")]);
  page.opened.push(onOpen);
  page.taps.push(onTap);
  page.shows.push(showWords);
  page.start();
  drawFacilities();
  if (view.about.ward) leadToTown();
  followName();
})();
