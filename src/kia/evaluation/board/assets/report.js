// Sorts tables and studies, filters and searches studies. It moves and hides what the page holds and
// writes no text of it; without this script everything can still be read.
"use strict";
const all = (css, root = document) => [...root.querySelectorAll(css)];
const one = (id) => document.getElementById(id);

// A cell as a number, where it begins with one (".5", "±0.1", "+0.2", "12 %"); else as text.
function value(cell) {
  const text = cell ? cell.textContent.trim() : "";
  const number = parseFloat(text.replace("−", "-").replace(/^[±+]/, ""));
  return Number.isNaN(number) ? text : number;
}

function compare(a, b, direction) {
  const missing = (x) => x === "" || x === "–";
  if (missing(a) || missing(b)) return missing(a) - missing(b);
  if (typeof a === typeof b && typeof a === "number") return direction * (a - b);
  return direction * String(a).localeCompare(String(b));
}

// Rows of intervals stay below the row that they belong to; sections stay apart.
function sortTable(table, column, direction) {
  for (const body of table.tBodies) {
    const units = [];
    for (const row of body.dataset.order ? body.rows : number(body)) {
      if (row.classList.contains("interval") && units.length) units.at(-1).push(row);
      else units.push([row]);
    }
    const place = (unit) => Number(unit[0].dataset.place);
    units.sort((a, b) => (direction &&
      compare(value(a[0].cells[column]), value(b[0].cells[column]), direction)) ||
      place(a) - place(b));
    body.append(...units.flat());
  }
}

function number(body) {
  body.dataset.order = "known";
  [...body.rows].forEach((row, place) => { row.dataset.place = place; });
  return body.rows;
}

for (const table of all("table.sortable")) {
  const heads = all("thead th", table);
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { descending: "ascending", ascending: "" }[head.ariaSort ?? ""] ?? "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (next) head.ariaSort = next;
      sortTable(table, column, { descending: -1, ascending: 1 }[next] ?? 0);
    });
  });
}

const list = one("list");
if (list) {
  const studies = all(".study", list).map((node, place) => ({
    node, place, id: node.querySelector("summary b").textContent, text: node.textContent.toLowerCase(),
    weights: node.dataset.w.split(" ").map(Number),
    named: node.dataset.named.split(" "), wrong: node.dataset.wrong.split(" "),
  }));
  const orders = {
    id: (a, b) => a.id.localeCompare(b.id, "en", { numeric: true }),
    spread: (a, b) => spread(b) - spread(a),
  };
  const spread = (study) => Math.max(...study.weights) - Math.min(...study.weights);
  const heaviest = (system) => (a, b) => b.weights[system] - a.weights[system];

  const filter = () => {
    const words = one("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const observation = one("observation").value, how = one("how").value;
    let shown = 0;
    for (const study of studies) {
      const fits = words.every((word) => study.text.includes(word)) &&
        (!observation || study[how].includes(observation));
      study.node.hidden = !fits;
      shown += fits;
    }
    one("count").textContent = `${shown} of ${studies.length} studies`;
  };
  const order = () => {
    const by = one("order").value;
    const sorted = [...studies].sort((a, b) => a.place - b.place);
    if (by) sorted.sort(orders[by] ?? heaviest(Number(by.slice(1))));
    list.append(...sorted.map((study) => study.node));
  };
  const fold = (open) => studies.forEach(({ node }) => { node.open = open && !node.hidden; });

  one("search").addEventListener("input", filter);
  for (const id of ["observation", "how"]) one(id).addEventListener("change", filter);
  one("order").addEventListener("change", order);
  one("unfold").addEventListener("click", () => fold(true));
  one("fold").addEventListener("click", () => fold(false));
  one("controls").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input, select")) {
      event.preventDefault();
      one("search").focus();
    }
  });
  one("controls").hidden = false;
  filter();
  order(); // a browser keeps choices over a reload
}
document.body.dataset.ready = "yes";
