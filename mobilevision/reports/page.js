"use strict";
for (const svg of document.querySelectorAll("svg[data-chart]")) {
  const chart = JSON.parse(svg.dataset.chart);
  const cursor = svg.querySelector(".cursor"), note = svg.parentElement.querySelector("output");
  const hide = () => { note.style.display = "none"; cursor.setAttribute("x1", -9); cursor.setAttribute("x2", -9); };
  const show = (event) => {
    const box = svg.getBoundingClientRect();
    const share = ((event.clientX - box.left) / box.width - chart.left) / (chart.right - chart.left);
    const epoch = Math.round(chart.first + share * (chart.last - chart.first));
    const rows = Object.entries(chart.lines).filter(([, values]) => epoch in values)
      .map(([name, values]) => name + " " + Number(values[epoch].toPrecision(4)));
    if (!rows.length) { hide(); return; }
    const at = chart.left + (epoch - chart.first) / (chart.last - chart.first) * (chart.right - chart.left);
    const x = at * svg.viewBox.baseVal.width;
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    note.textContent = ["epoch " + epoch, ...rows].join("\n");
    note.style.display = "block";
    const left = svg.offsetLeft || 12;
    note.style.left = Math.min(left + at * box.width + 10, left + box.width - note.offsetWidth) + "px";
  };
  svg.addEventListener("pointermove", show);
  svg.addEventListener("pointerdown", show);
  svg.addEventListener("pointerleave", hide);
}
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const compare = (a, b) => key(a).localeCompare(key(b), undefined, { numeric: true });
    const numbers = [...body.rows].some((row) => row.cells[column].dataset.value !== undefined);
    const rows = [...body.rows].sort(numbers ? (a, b) => key(a) - key(b) : compare); // an empty cell counts as 0
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...(down ? rows.reverse() : rows));
  }));
}
for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", async () => {
    const code = button.previousElementSibling;
    try { await navigator.clipboard.writeText(code.textContent); button.textContent = "copied"; }
    catch { getSelection().selectAllChildren(code); }
  });
}
