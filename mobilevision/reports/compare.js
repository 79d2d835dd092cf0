{
  const rows = JSON.parse(document.getElementById("rows").textContent);
  const plot = document.getElementById("plot"), note = document.getElementById("note");
  const across = document.getElementById("across"), group = document.getElementById("group");
  const [left, right, top, bottom] = [56, 744, 14, 380];
  const colours = ["#2f6fde", "#e08a1e", "#2e9e6b", "#c2477f", "#7a5cd6", "#8a929c", "#b0892e", "#1f9bb5"];
  const make = (name, values, parent = plot, text = "") => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(values)) node.setAttribute(key, value);
    node.textContent = text;
    parent.append(node);
    return node;
  };
  const short = (value) => value >= 1e9 ? +(value / 1e9).toPrecision(3) + " G" : value >= 1e6 ? +(value / 1e6).toPrecision(3) + " M"
    : value >= 1e3 ? +(value / 1e3).toPrecision(3) + " k" : String(value);
  const steps = (low, high) => {
    const rough = (high - low) / 5 || 0.1, unit = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((each) => each * unit).find((each) => each >= rough);
    const found = [];
    for (let at = Math.floor(low / step) * step; at < high + step; at += step) found.push(+at.toPrecision(6));
    return found;
  };
  const draw = () => {
    plot.replaceChildren();
    const cost = across.value, kind = group.value;
    const costs = rows.map((row) => Math.log10(row[cost])), values = rows.map((row) => row.value);
    const pad = (Math.max(...costs) - Math.min(...costs)) * 0.06 || 0.1;
    const [x0, x1] = [Math.min(...costs) - pad, Math.max(...costs) + pad];
    const ticks = steps(Math.min(...values), Math.max(...values));
    const x = (value) => left + (Math.log10(value) - x0) / (x1 - x0) * (right - left);
    const y = (value) => bottom - (value - ticks[0]) / (ticks.at(-1) - ticks[0]) * (bottom - top);
    for (const tick of ticks) {
      make("line", { class: "axis", x1: left, x2: right, y1: y(tick), y2: y(tick) });
      make("text", { x: left - 7, y: y(tick) + 4, "text-anchor": "end" }, plot, String(tick));
    }
    const within = (value) => Math.log10(value) >= x0 && Math.log10(value) <= x1;
    const powers = Array.from({ length: Math.floor(x1) - Math.floor(x0) + 1 }, (_, place) => 10 ** (Math.floor(x0) + place));
    const round = powers.flatMap((power) => [power, 2 * power, 5 * power]).filter(within);
    for (const value of round.length > 1 ? round : steps(10 ** x0, 10 ** x1).filter(within)) {
      make("line", { class: "axis", x1: x(value), x2: x(value), y1: top, y2: bottom });
      make("text", { x: x(value), y: bottom + 16, "text-anchor": "middle" }, plot, short(value));
    }
    make("text", { x: (left + right) / 2, y: bottom + 38, "text-anchor": "middle" }, plot, across.selectedOptions[0].text + " (log)");
    const path = (some) => [...some].sort((a, b) => a[cost] - b[cost]).map((row) => x(row[cost]) + "," + y(row.value)).join(" ");
    const sets = [...new Set(rows.map((row) => row.data))];
    for (const data of sets)
      make("polyline", { class: "front", points: path(rows.filter((row) => row.data === data && row.best_for.includes(cost.replace("_", "-")))) });
    const names = [...new Set(rows.map((row) => row[kind]))].sort((a, b) => String(a).localeCompare(String(b), undefined, { numeric: true }));
    document.getElementById("legend").replaceChildren(...names.flatMap((name, place) => {
      const mark = document.createElement("i");
      mark.style.background = colours[place % colours.length];
      return [mark, String(name ?? "none")];
    }));
    names.forEach((name, place) => {
      const colour = colours[place % colours.length], chosen = rows.filter((row) => row[kind] === name);
      for (const data of sets) make("polyline", { class: "joined", points: path(chosen.filter((row) => row.data === data)), stroke: colour });
      for (const row of chosen) {
        const point = make("circle", { class: "point", cx: x(row[cost]), cy: y(row.value), r: 6, fill: colour });
        const line = document.querySelector(`tr[data-row="${rows.indexOf(row)}"]`);
        const on = () => {
          point.classList.add("on");
          line.classList.add("on");
          note.textContent = `${row.backbone} · side ${row.size}\n${row.value.toFixed(4)}\n${short(row.mult_adds)} mult-adds\n${short(row.parameters)} parameters`;
          note.style.display = "block";
          const box = plot.getBoundingClientRect(), scale = box.width / 760;
          note.style.left = Math.min(plot.offsetLeft + x(row[cost]) * scale + 12, plot.offsetLeft + box.width - note.offsetWidth) + "px";
          note.style.top = plot.offsetTop + y(row.value) * scale + "px";
        };
        const off = () => { point.classList.remove("on"); line.classList.remove("on"); note.style.display = "none"; };
        for (const node of [point, line]) { node.addEventListener("pointerenter", on); node.addEventListener("pointerleave", off); }
      }
    });
  };
  across.addEventListener("change", draw);
  group.addEventListener("change", draw);
  draw();
}
