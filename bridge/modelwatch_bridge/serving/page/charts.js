// Elements, number formats, and lines over time. Text is only ever set as text, never as HTML.

export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export const name = (text) => el("bdi", { textContent: text });

export function count(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  return Math.round(value).toLocaleString("en");
}

export function figure(value) {
  return value === null || value === undefined ? "–" : Number(value.toPrecision(3)).toLocaleString("en");
}

export function rate(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  return value >= 100 ? count(value) : value.toFixed(value >= 10 ? 0 : value >= 0.095 ? 1 : 2);
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0.0095) return `${(value * 1000).toFixed(1)} ms`;
  if (value < 0.9995) return `${Math.round(value * 1000)} ms`;
  return value < 10 ? `${value.toFixed(1)} s` : `${Math.round(value)} s`;
}

export function share(value) {
  if (value === null || value === undefined) return "–";
  const percent = value * 100;
  return `${percent > 0 && percent < 9.95 ? percent.toFixed(1) : Math.round(percent)} %`;
}

export function bytes(value) {
  return value === null || value === undefined ? "–" : `${Math.round(value / 1e6)} MB`;
}

export function ago(ms) {
  const past = Math.max(0, Math.round(ms / 1000));
  if (past < 60) return `${past} s ago`;
  if (past < 5400) return `${Math.round(past / 60)} min ago`;
  return past < 172800 ? `${Math.round(past / 3600)} h ago` : `${Math.round(past / 86400)} days ago`;
}

export function clock(ms, withSeconds = false) {
  const form = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  if (withSeconds) form.second = "2-digit";
  return new Date(ms).toLocaleTimeString("en", form);
}

const SHAPES = {
  ok: () => [svg("circle", { cx: 8, cy: 8, r: 7, fill: "currentColor", opacity: 0.2 }), svg("path", { d: "M4.4 8.4l2.4 2.5 4.8-5.4", fill: "none", stroke: "currentColor", "stroke-width": 2 })],
  drift: () => [svg("path", { d: "M8 1l7.4 13.5H.6z", fill: "currentColor" })],
  warning: () => [svg("path", { d: "M8 2.2l6.2 11.3H1.8z", fill: "none", stroke: "currentColor", "stroke-width": 1.8 }), svg("path", { d: "M8 6v3.8M8 11v1.4", stroke: "currentColor", "stroke-width": 1.8 })],
  unknown: () => [svg("path", { d: "M4.6 5.4c.2-4.2 6.8-4 6.6-.2-.1 2.2-3 2.2-3 4.6M8.1 12.6v1.6", fill: "none", stroke: "currentColor", "stroke-width": 2.2 })],
};
const WORDS = { ok: "no drift", drift: "drift", warning: "warning", unknown: "unknown" };

export const shape = (status) => svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, ...SHAPES[status]());

export function status(value) {
  return el("span", { className: `status ${value}` }, shape(value), WORDS[value]);
}

export function sparkline(slots) {
  const values = Array.from({ length: Math.floor(slots.length / 6) }, (_, at) => slots.slice(at * 6, at * 6 + 6).reduce((sum, value) => sum + (value ?? 0), 0));
  const highest = Math.max(1e-9, ...values);
  const x = (at) => ((at / Math.max(1, values.length - 1)) * 100).toFixed(2);
  const y = (value) => (31 - (value / highest) * 28).toFixed(1);
  const path = values.map((value, at) => `${at ? "L" : "M"}${x(at)} ${y(value)}`).join("");
  return svg(
    "svg",
    { class: "spark", viewBox: "0 0 100 34", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("path", { class: "fill", d: `${path}L100 34L0 34Z` }),
    svg("path", { d: path }),
  );
}

function roundUp(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].find((step) => step * power >= value * 0.999) * power;
}

const HEIGHT = 170, TOP = 8, BOTTOM = 20, LEFT = 46, RIGHT = 6;

// Lines over time with a cursor that follows pointer, finger and arrow keys.
export class LineChart {
  constructor(holder, title, format) {
    this.format = format;
    this.title = title;
    this.svg = svg("svg", { role: "img", tabindex: "0" });
    this.legend = el("ul", { className: "legend" });
    this.none = el("p", { className: "none", hidden: true });
    this.chart = el("div", { className: "chart" }, this.svg);
    holder.append(this.chart, this.legend, this.none);
    this.at = null;
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerdown", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.move(null));
    this.svg.addEventListener("blur", () => this.move(null));
    this.svg.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step || !this.data) return;
      event.preventDefault();
      const last = this.data.length - 1;
      this.move(Math.min(last, Math.max(0, (this.at ?? last + (step < 0 ? 1 : 0)) + step)));
    });
    new ResizeObserver(() => this.draw()).observe(this.chart);
  }

  // lines: [{label, values, look}], values all of one length; null is a gap
  show(lines, firstMs, stepSeconds, nothing) {
    this.lines = lines;
    this.firstMs = firstMs;
    this.stepMs = stepSeconds * 1000;
    this.data = lines.length ? lines[0].values : null;
    const empty = !lines.some((line) => line.values.some((value) => value !== null));
    this.none.textContent = nothing;
    this.none.hidden = !empty;
    this.chart.hidden = this.legend.hidden = empty;
    if (this.at !== null && this.data && this.at >= this.data.length) this.at = null;
    if (!empty) this.draw();
  }

  x(at) {
    return LEFT + (at / Math.max(1, this.data.length - 1)) * (this.width - LEFT - RIGHT);
  }

  draw() {
    const width = this.chart.clientWidth;
    if (!this.data || !width) return;
    this.width = width;
    const highest = roundUp(Math.max(0, ...this.lines.flatMap((line) => line.values.map((v) => v ?? 0))));
    const y = (value) => TOP + (1 - value / highest) * (HEIGHT - TOP - BOTTOM);
    const parts = [];
    for (const part of [0, 0.5, 1]) {
      const at = y(highest * part).toFixed(1);
      parts.push(svg("line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: at, y2: at }));
      const label = svg("text", { class: "axis", x: LEFT - 6, y: Number(at) + 4, "text-anchor": "end" });
      label.textContent = this.format(highest * part);
      parts.push(label);
    }
    const last = this.data.length - 1;
    for (const [at, anchor] of [[0, "start"], [Math.round(last / 2), "middle"], [last, "end"]]) {
      const label = svg("text", { class: "axis", x: this.x(at), y: HEIGHT - 4, "text-anchor": anchor });
      label.textContent = clock(this.firstMs + at * this.stepMs);
      parts.push(label);
    }
    for (const line of this.lines) {
      for (const [from, to] of runs(line.values)) {
        const points = line.values.slice(from, to).map((value, n) => `${this.x(from + n).toFixed(1)} ${y(value).toFixed(1)}`);
        if (points.length === 1) points.push(`${(this.x(from) + 1.5).toFixed(1)} ${y(line.values[from]).toFixed(1)}`);
        const floor = y(0).toFixed(1);
        if (line.area) parts.push(svg("path", { class: `area ${line.look}`, d: `M${this.x(from).toFixed(1)} ${floor}L${points.join("L")}L${this.x(to - 1).toFixed(1)} ${floor}Z` }));
        parts.push(svg("path", { class: `line ${line.look}`, d: `M${points.join("L")}`, "fill": "none" }));
      }
    }
    this.cursor = svg("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.replaceChildren(...parts, this.cursor);
    this.move(this.at);
  }

  point(event) {
    if (!this.data) return;
    const box = this.svg.getBoundingClientRect();
    const part = (event.clientX - box.left - LEFT) / (this.width - LEFT - RIGHT);
    this.move(Math.min(this.data.length - 1, Math.max(0, Math.round(part * (this.data.length - 1)))));
  }

  // show the values at one place in time; null for the newest
  move(at) {
    this.at = at;
    if (!this.data || !this.cursor) return;
    this.cursor.setAttribute("visibility", at === null ? "hidden" : "visible");
    if (at !== null) for (const end of ["x1", "x2"]) this.cursor.setAttribute(end, this.x(at));
    const value = (line) => (at === null ? line.values.findLast((v) => v !== null) : line.values[at]) ?? null;
    const items = this.lines.map((line) =>
      el("li", {}, el("span", { className: `line-key ${line.look}` }), name(line.label), el("b", { textContent: this.format(value(line)) })));
    if (at !== null) items.push(el("li", { className: "soft", textContent: clock(this.firstMs + at * this.stepMs, true) }));
    this.legend.replaceChildren(...items);
    const said = this.lines.map((line) => `${line.label} ${this.format(value(line))}`).join(", ");
    const when = at === null ? "newest" : clock(this.firstMs + at * this.stepMs, true);
    this.svg.setAttribute("aria-label", `${this.title}, ${when}: ${said}`);
  }
}

function* runs(values) {
  let from = null;
  for (let at = 0; at <= values.length; at += 1) {
    const there = at < values.length && values[at] !== null;
    if (there && from === null) from = at;
    if (!there && from !== null) {
      yield [from, at];
      from = null;
    }
  }
}
