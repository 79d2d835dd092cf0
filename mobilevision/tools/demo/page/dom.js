// Making elements, and numbers as people read them.

/** An element with attributes and children; text is never taken for HTML. */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function shape(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** Make something that is no button act as one, by touch, mouse and keyboard. */
export function pressable(node, act) {
  node.setAttribute("role", "button");
  node.setAttribute("tabindex", "0");
  node.addEventListener("click", act);
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault(); // the space bar would scroll
    act();
  });
}

/** 0.734 as "73 %"; what is not quite all or nothing does not become so. */
export function percent(value) {
  const share = value * 100;
  if (share > 99 && share < 100) return `${Math.min(share, 99.9).toFixed(1)} %`;
  return share > 0 && share < 1 ? "< 1 %" : `${share.toFixed(0)} %`;
}

/** 823722 as "0.82 M". */
export function short(value) {
  const [size, letter] = [[1e9, " G"], [1e6, " M"], [1e3, " k"]].find(([least]) => value >= least * 0.1) ?? [1, ""];
  return Number((value / size).toPrecision(value / size < 1 ? 2 : 3)) + letter;
}

export function milliseconds(value) {
  return value < 10 ? `${value.toFixed(1)} ms` : `${value.toFixed(0)} ms`;
}
