// Tables sort by the buttons in their heads and are filtered by words; without this script they are plain tables.
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => sort(table, body, heads, column));
  });
  if (table.dataset.filter) filtered(table, body);
}

function sort(table, body, heads, column) {
  const head = heads[column];
  const numeric = head.classList.contains("n");
  const before = head.getAttribute("aria-sort");
  const next = before === "none" ? (numeric ? "descending" : "ascending") : before === "ascending" ? "descending" : "ascending";
  for (const other of heads) other.setAttribute("aria-sort", other === head ? next : "none");
  const sign = next === "ascending" ? 1 : -1;
  const key = (row) => {
    const cell = row.cells[column];
    return numeric ? parseFloat(cell.dataset.v) : cell.textContent.trim();
  };
  const compare = (a, b) => {
    const x = key(a), y = key(b);
    if (!numeric) return sign * x.localeCompare(y, "en", { numeric: true });
    if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y); // what is not defined comes last, whichever the direction
    return sign * (x - y);
  };
  body.append(...[...body.rows].sort(compare));
}

function filtered(table, body) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  const shown = document.createElement("output");
  label.className = "filter";
  input.type = "search";
  input.setAttribute("aria-controls", table.id);
  input.placeholder = "words that a row shall have";
  shown.setAttribute("aria-live", "polite");
  label.append("Filter", input, shown);
  table.closest(".scroll").before(label);
  const update = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of body.rows) {
      const text = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      count += !row.hidden;
    }
    shown.textContent = `${count} of ${body.rows.length} rows`;
  };
  input.addEventListener("input", update);
  update();
}

addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));
