"use strict";
// The planner's page: tables beside the map, and every fault, doubt and note with its place.
(function () {
  const { view, map, byId, colour, say, word, whole, percent, element, button, place, choose } = page;

  function outlineStyle(grid) {
    return grid.fault
      ? { color: colour("fault"), weight: 4, dashArray: "10 6" }
      : { color: colour("outline"), weight: 2, dashArray: null };
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

  // ── the planner's tables and remarks ────────────────────────────────────────────────────────

  const keyOf = { grids: ["grid", "grid_id"], lamps: ["lamp", "lamp_code"], boards: ["board", "board_code"] };

  function tableOf(table) {
    const made = element("table");
    const head = element("tr");
    for (const column of table.columns) head.append(element("th", word(column)));
    made.append(element("thead"), element("tbody"));
    made.tHead.append(head);
    const [kind, key] = keyOf[table.name];
    const items = new Map(view[table.name].map((item) => [item[key], item]));
    const at = table.columns.indexOf(key);
    for (const values of table.rows) {
      const row = element("tr");
      values.forEach((value, column) => {
        const cell = element("td");
        const text = value === null ? "" : String(value);
        if (column === at) cell.append(button(text, () => choose({ kind: kind, item: items.get(value) }, true)));
        else cell.textContent = text;
        row.append(cell);
      });
      made.tBodies[0].append(row);
    }
    return made;
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

  function fold(title, content, open) {
    const made = element("details");
    made.open = open;
    made.append(element("summary", title), content);
    return made;
  }

  function showTables() {
      const remarks = Object.entries(view.remarks).map(([kind, list]) => {
      const items = element("ul", undefined, "remarks " + kind);
      items.append(...list.map(remarkItem));
      return fold(say(kind) + " " + list.length, items, kind === "faults" && list.length > 0);
    });
    const tables = view.tables.map((table) => {
      const scroll = element("div", undefined, "scroll");
      scroll.append(tableOf(table));
      return fold(say(table.name) + " " + table.rows.length, scroll, false);
    });
    byId("tables").replaceChildren(...remarks, ...tables);
  }

  page.styleOutlines(outlineStyle);
  page.remarks.push(smallPrint);
  page.shows.push(showTables);
  page.start();
})();
