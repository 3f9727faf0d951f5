"use strict";
// The page of a town: its grids and alleys, and the way to the page of each ward.
(function () {
  const { view, map, byId, colour, say, element, line, openPanel } = page;
  const mostNames = 60; // links in the document at a time
  const wards = new Map(view.wards.map((ward) => [ward.number, ward]));

  // The wards' pages lie in a folder that is called as this page is: map/01.html beside map.html.
  const folder = window.location.pathname.split("/").pop().replace(/\.html?$/, "");

  function linkTo(ward, text, alley) {
    const link = element("a", text, "ward-link");
    link.href = "./" + folder + "/" + ward.page + (alley ? "#" + new URLSearchParams({ alley: alley }) : "");
    return link;
  }

  function listed(links) {
    return links.map((link) => {
      const item = element("li");
      item.append(link);
      return item;
    });
  }

  function wardTitle(ward) {
    return ward.name ? say("ward_named", { n: ward.number, name: ward.name }) : say("ward_title", { n: ward.number });
  }

  function showWards() {
    byId("wards").replaceChildren(...listed(view.wards.map((ward) => linkTo(ward, wardTitle(ward)))));
  }

  function offerNames() {
    const typed = byId("alley-name").value.trim().toLowerCase();
    const fitting = typed ? view.find.filter(([name]) => name.toLowerCase().includes(typed)) : [];
    const links = fitting.flatMap(([name, numbers]) =>
      numbers.map((n) => linkTo(wards.get(n), say("alley_in", { alley: name, n: n }), name)));
    byId("alley-names").replaceChildren(...listed(links.slice(0, mostNames)));
    if (typed && !links.length) byId("alley-names").append(element("li", say("no_alley")));
  }

  // What was tapped or chosen is a grid: its ward's page is offered below its figures.
  function offerWard() {
    const what = page.chosen();
    const old = byId("details").querySelector(".ward-link");
    if (old) old.remove();
    if (!what || what.kind !== "grid") return;
    const link = linkTo(wards.get(what.item.ward), say("open_ward", { n: what.item.ward }));
    link.classList.add("main");
    byId("details").append(link);
  }

  function drawWards() {
    for (const ward of view.wards) {
      const shape = ward.shape.map((rings) => rings.map(line));
      L.polygon(shape, { interactive: false, fill: false, color: colour("chosen"), weight: 4 }).addTo(map);
    }
  }

  page.styleOutlines(() => ({ color: colour("outline"), weight: 1, dashArray: null }));
  page.legends.push(["ward", true, "1"]);
  page.remarks.push(() => [say("overview")]);
  page.opened.push(offerWard);
  page.shows.push(showWards, offerNames, offerWard);
  byId("alley-name").addEventListener("input", offerNames);
  byId("show-find").addEventListener("click", () => openPanel("find"));
  for (const ward of view.wards) page.addSign(ward.at, "ward", String(ward.number), { above: true });
  page.start();
  drawWards();
})();
