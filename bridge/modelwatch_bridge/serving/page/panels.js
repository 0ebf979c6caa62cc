// The parts of the page: a card per model version, the map of features, tiles and tables.
import { ago, bytes, clock, count, el, figure, name, rate, seconds, shape, share, sparkline, status } from "./charts.js";

const FIRST_FEATURES = 30, REPORTS = 8, WIDEST_CELL = 34;

// Cards stay the same elements, so that focus and selection do, too.
export class Cards {
  constructor(holder, chosen) {
    this.holder = holder;
    this.chosen = chosen;
    this.cards = new Map();
  }

  // results are the newest ones, or null: they say why there is no verdict
  show(models, selected, nowMs, results) {
    const keys = new Set(models.map(keyOf));
    for (const [key, card] of this.cards) if (!keys.has(key)) card.remove(), this.cards.delete(key);
    models.forEach((model, at) => {
      const key = keyOf(model);
      let card = this.cards.get(key);
      if (!card) {
        card = el("button", { type: "button" });
        card.addEventListener("click", () => this.chosen(key));
        this.cards.set(key, card);
      }
      card.className = `card ${model.status}`;
      card.setAttribute("aria-pressed", String(key === selected));
      card.replaceChildren(...cardParts(model, nowMs, results));
      if (this.holder.children[at] !== card) this.holder.insertBefore(card, this.holder.children[at] ?? null);
    });
  }
}

export const keyOf = (model) => JSON.stringify([model.model, model.version]);

function cardParts(model, nowMs, results) {
  const roles = [...model.variants];
  if (model.serves && !roles.length) roles.push("loaded");
  if (model.stale) roles.push("stale: the registry requires another version");
  const fact = (label, value) => (value === "–" ? null : el("span", {}, el("i", { textContent: label }), el("b", { textContent: value })));
  const facts = [
    fact("predictions", count(model.predictions)),
    ...Object.entries(model.latency).map(([label, value]) => fact(`model ${label}`, seconds(value))),
    fact("accuracy", share(model.accuracy)),
    fact("expected", share(model.estimated_accuracy)),
    fact("mean error", figure(model.error)),
    fact("expected error", figure(model.estimated_error)),
    fact("labelled", share(model.label_maturity)),
  ];
  return [
    el("span", { className: "head" },
      el("span", { className: "name" }, name(model.model), " ", el("span", { className: "soft" }, "v", name(model.version))),
      status(model.status)),
    model.owner ? el("span", { className: "soft" }, "owner ", name(model.owner)) : "",
    el("span", { className: "soft sub" }, ...roles.flatMap((role, at) => [at ? " · " : "", name(role)])),
    el("span", { className: "says", textContent: verdict(model, nowMs, results) }),
    el("span", { className: "facts" }, ...facts),
    sparkline(model.traffic),
  ];
}

// A row for each model: its worst version says how it stands.
export function allModels(list, nowMs) {
  if (!list.length) return [el("p", { className: "none", textContent: "No model fits." })];
  const columns = [["model", true], ["", true], ["owner", true], ["newest verdict", true], ["versions"], ["predictions"]];
  const rows = list.map((entry) => el("tr", {},
    el("td", {}, el("a", { href: `#${new URLSearchParams({ model: entry.model })}` }, name(entry.model))),
    el("td", { className: "text" }, status(entry.status)),
    el("td", { className: "text", "data-label": "owner" }, name(entry.owner || "–")),
    el("td", { className: "text", "data-label": "newest verdict", textContent: entry.analyzed_ms === null ? unreported(entry, nowMs) : `v${entry.worst}, ${ago(nowMs - entry.analyzed_ms)}` }),
    el("td", { "data-label": "versions", textContent: count(entry.versions) }),
    el("td", { "data-label": "predictions", textContent: count(entry.predictions) })));
  return [table(columns, rows, "stack")];
}

// of a version whose analyses this bridge has not seen: its results may be older, or of a backfill
const unreported = (entry, nowMs) => (entry.stored_ms === null ? "not analyzed yet" : `${entry.worst ? `v${entry.worst}, ` : ""}of the window that ended ${ago(nowMs - entry.stored_ms)}`);

function verdict(model, nowMs, results) {
  if (model.analyzed_ms === null) return unreported(model, nowMs);
  const when = ago(nowMs - model.analyzed_ms);
  // how the version stands by all of its windows, where that is not what its main window says
  const others = model.status === model.main ? "" : `; by all windows ${model.status === "ok" ? "no drift" : model.status}`;
  if (model.main === "unknown") {
    const newest = results?.results?.find((result) => keyOf(result) === keyOf(model) && !result.ad_hoc);
    return `no verdict${newest?.status === "unknown" ? `: ${newest.reason}` : ""}, ${when}${others}`;
  }
  const drifted = model.drifted.length;
  return `${drifted ? `${drifted} of ${model.features} features drifted` : `none of ${model.features} features drifted`}, ${when}${others}`;
}

export function tiles(data) {
  const recent = (values) => values.slice(-6).reduce((sum, value) => sum + (value ?? 0), 0);
  const requests = Object.values(data.requests).reduce((sum, values) => sum + recent(values), 0);
  const failed = recent(data.requests["5xx"]);
  const waiting = data.queues.filter((queue) => !queue.dead);
  const dead = data.queues.filter((queue) => queue.dead);
  const messages = (queues) => (queues.length ? queues.reduce((sum, queue) => sum + Object.values(queue.states).reduce((a, b) => a + b, 0), 0) : null);
  const tile = (label, value, alarm = false) => el("div", { className: `tile${alarm ? " alarm" : ""}` }, el("small", { textContent: label }), el("b", { textContent: value }));
  const lost = (data.capture.lost ?? 0) + (data.capture.rejected ?? 0);
  return [
    tile("requests/s, last minute", rate(requests / 60)),
    tile("latency p95, last hour", seconds(data.latency_now.p95)),
    tile("failing, last minute", requests ? share(failed / requests) : "–", failed > 0),
    tile("messages queued", count(messages(waiting))),
    tile("dead letters", count(messages(dead)), messages(dead) > 0),
    tile("records lost, last hour", count(lost), lost > 0),
  ];
}

export function errors(list) {
  if (!list.length) return [];
  const items = list.sort((a, b) => b.count - a.count).slice(0, 6)
    .map((error) => el("span", {}, name(error.model), ": ", name(error.type), " ", el("b", { textContent: `${count(error.count)}×` })));
  return [el("p", { className: "errors" }, "Failed predictions, last hour: ", ...items)];
}

export function capture(outcomes) {
  const known = ["accepted", "sent", "stored", "lost", "rejected"].filter((outcome) => outcomes[outcome]);
  if (!known.length) return [];
  return [el("p", { className: "errors" }, "Records, last hour: ",
    ...known.map((outcome) => el("span", {}, `${outcome} `, el("b", { textContent: count(outcomes[outcome]) }))))];
}

function table(columns, rows, look = "") {
  return el("div", { className: "scroll" }, el("table", { className: `list ${look}` },
    el("thead", {}, el("tr", {}, ...columns.map(([label, text]) => el("th", { scope: "col", className: text ? "text" : "", textContent: label })))),
    el("tbody", {}, ...rows)));
}

export function functions(list) {
  if (!list.length) return [el("p", { className: "none", textContent: "No function was invoked yet." })];
  const columns = [["function", true], ["invocations"], ["p50"], ["p95"], ["p99"], ["cold starts"], ["cold start p50"], ["failed"], ["refused"], ["memory"]];
  const rows = list.map((fn) => {
    const cells = [count(fn.invocations), seconds(fn.duration.p50), seconds(fn.duration.p95), seconds(fn.duration.p99),
      count(fn.cold_starts), seconds(fn.init.p50), count(fn.errors), count(fn.throttles), bytes(fn.memory_bytes)];
    return el("tr", {}, el("td", {}, name(fn.name)),
      ...cells.map((text, at) => el("td", { "data-label": columns[at + 1][0], className: (at === 6 && fn.errors) || (at === 7 && fn.throttles) ? "alarm" : "", textContent: text })));
  });
  return [table(columns, rows, "stack")];
}

export function reports(answer, nowMs) {
  if (!answer) return [];
  if (answer.problem) return [el("p", { className: "none", textContent: `The results cannot be listed: ${answer.problem}` })];
  if (!answer.results.length) return [...answer.episodes.map((episode) => openEpisode(episode, nowMs)), el("p", { className: "none", textContent: answer.of ? `No analysis of ${answer.of} has ended yet.` : "No analysis has ended yet." })];
  const columns = [["window ended", true], ["", true], ["model version", true], ["result", true], ["length"], ["rows"], ["", true]];
  const rows = answer.results.slice(0, REPORTS).map((result) => el("tr", {},
    el("td", { textContent: `${clock(result.window_end_ms, true)}, ${ago(nowMs - result.window_end_ms)}` }),
    el("td", { className: "text" }, status(result.status)),
    el("td", { className: "text pair" }, name(result.model), " v", name(result.version)),
    el("td", { className: "text full", textContent: result.ad_hoc ? `on request: ${result.reason}` : result.reason }),
    el("td", { "data-label": "length", textContent: lengthOf(result) }),
    el("td", { "data-label": "rows", textContent: count(result.rows) }),
    el("td", { className: "text" }, result.has_report
      ? el("a", { href: reportOf(result), target: "_blank", rel: "noopener" }, "open report", el("span", { className: "hidden-text", textContent: ` of ${clock(result.window_end_ms, true)}` }))
      : el("span", { className: "soft", textContent: "no report" }))));
  return [...answer.episodes.map((episode) => openEpisode(episode, nowMs)), table(columns, rows, "stack")];
}

function openEpisode(episode, nowMs) {
  const said = { open: "no one has acknowledged it", acknowledged: "acknowledged", expected: "expected" }[episode.status];
  const features = episode.features.length ? `: ${episode.features.join(", ")}` : "";
  return el("p", { className: "episode" }, status("drift"), " Episode ", name(episode.id), " of ", name(episode.model), " v", name(episode.version),
    ` is open since ${clock(episode.opened_ms, true)}, ${ago(nowMs - episode.opened_ms)}${features}; ${[said, ...episode.notes].join("; ")}`);
}

export function newestReport(link, answer, selected) {
  const found = answer?.reports.find((report) => keyOf(report) === selected);
  link.hidden = !found;
  if (found) link.href = reportOf(found);
}

// Where the critical scores of a version come from: each length of window has a past of its own.
export function pasts(place, answer, selected) {
  const known = new Map();
  for (const result of answer?.results ?? [])
    if (keyOf(result) === selected && !result.ad_hoc && result.window && !known.has(result.window)) known.set(result.window, result);
  place.hidden = !known.size;
  place.textContent = [...known.values()].map((result) => `Windows of ${lengthOf(result)}: ${result.past}.`).join(" ");
}

// such as "7d" of P7D, "1h" of PT1H
const lengthOf = (result) => result.window.slice(1).replace("T", " ").trim().toLowerCase();

const reportOf = (result) => `reports/${encodeURIComponent(result.name)}`;

const criticalOf = (cell) => (cell[3] === null ? "" : ` (critical ${cell[3].toFixed(3)})`);

// Features by analyses. One cell at a time can be focused; arrow keys move between them.
export class HeatMap {
  // chosen is called with the feature whose cell has the focus, at first the worst one
  constructor(holder, detail, chosen) {
    this.holder = holder;
    this.detail = detail;
    this.chosen = chosen;
    this.shows = "score";
    this.all = false;
    this.focus = [0, 0];
    this.feature = null;
    holder.addEventListener("pointerover", (event) => this.describe(event.target.closest("td[aria-label]")));
    holder.addEventListener("focusin", (event) => {
      const cell = event.target.closest("tbody td[aria-label]");
      this.describe(cell);
      if (cell) this.choose(this.data.features[[...this.body.rows].indexOf(cell.parentElement)].name);
    });
    holder.addEventListener("keydown", (event) => this.key(event));
    this.room = 0;
    new ResizeObserver(() => {
      if (this.columns() !== this.room) this.draw();
    }).observe(holder);
  }

  show(data, nowMs) {
    this.data = data;
    this.nowMs = nowMs;
    this.draw();
  }

  // widths of the names and of the newest values, as in the style sheet
  sides() {
    return this.holder.clientWidth < 700 ? [122, 84] : [168, 98];
  }

  columns() {
    const [names, newest] = this.sides();
    return Math.max(6, Math.floor((this.holder.clientWidth - names - newest - 10) / (names < 150 ? 15 : 19)));
  }

  draw() {
    if (!this.data) return;
    const hadFocus = this.holder.contains(document.activeElement) && document.activeElement.tagName === "TD";
    this.room = this.columns();
    const skipped = Math.max(0, this.data.analyses.length - this.room);
    const analyses = this.data.analyses.slice(skipped);
    const features = this.data.features.slice(0, this.all ? undefined : FIRST_FEATURES);
    const most = new Map();
    for (const feature of this.data.features)
      for (const cell of feature.cells) most.set(feature.method, Math.max(most.get(feature.method) ?? 1e-9, cell?.[0] ?? 0));
    const head = el("tr", {}, el("th", { className: "names", scope: "col", textContent: "feature" }),
      ...analyses.map((analysis) => el("td", { className: analysis.status, "aria-label": `${clock(analysis.at_ms, true)}: ${analysis.status === "ok" ? "no drift" : analysis.status}${analysis.share === null ? "" : `, ${share(analysis.share)} of the features drifted`}` }, shape(analysis.status))),
      el("th", { className: "newest", scope: "col", textContent: this.shows === "score" ? "score / critical" : "missing" }));
    const rows = features.map((feature) => this.row(feature, feature.cells.slice(skipped), analyses, most));
    const first = analyses[0], last = analyses.at(-1);
    const half = Math.floor(analyses.length / 2);
    const times = half < 2 ? [el("td", { colSpan: analyses.length, className: "value", textContent: clock(last.at_ms) })]
      : [el("td", { colSpan: half, textContent: clock(first.at_ms) }), el("td", { colSpan: analyses.length - half, className: "value", textContent: clock(last.at_ms) })];
    const foot = el("tr", {}, el("td", {}), ...times, el("td", {}));
    const caption = el("caption", { className: "hidden-text", textContent: "Drift of each feature over the newest analyses; arrow keys move between cells." });
    const made = el("table", { className: "heat", role: "grid" }, caption, el("thead", {}, head), el("tbody", {}, ...rows), el("tfoot", { "aria-hidden": "true" }, foot));
    // a few analyses make squares, not walls
    const [names, newest] = this.sides();
    made.style.width = `${Math.min(this.holder.clientWidth, names + newest + analyses.length * WIDEST_CELL)}px`;
    const more = this.data.features.length > FIRST_FEATURES
      ? el("button", { type: "button", className: "more", textContent: this.all ? "Show fewer" : `Show all ${this.data.features.length} features` }) : null;
    more?.addEventListener("click", () => {
      this.all = !this.all;
      this.draw();
    });
    this.holder.replaceChildren(made, ...(more ? [more] : []));
    this.body = made.tBodies[0];
    const cell = this.cell(...this.focus) ?? this.cell(0, 0);
    if (cell) cell.tabIndex = 0;
    if (hadFocus) cell?.focus();
    this.choose(this.feature);
  }

  choose(feature) {
    this.feature = feature;
    const found = this.data.features.find((each) => each.name === feature) ?? this.data.features[0];
    if (found) this.chosen(found, this.data.analyses);
  }

  row(feature, cells, analyses, most) {
    const made = cells.map((cell, at) => {
      const missing = cell?.[2] ?? null;
      const score = cell?.[0] ?? null;
      const shown = this.shows === "score" ? score : missing;
      const when = clock(analyses[at].at_ms, true);
      const says = cell === null ? (analyses[at].status === "unknown" ? "unknown" : "no result")
        : `${feature.method || "score"} ${score === null ? "unknown" : score.toFixed(3)}${criticalOf(cell)}, ${cell[1] === 1 ? "drifted" : cell[1] === 0 ? "no drift" : "unknown"}, ${share(missing)} missing`;
      const look = shown === null ? "void" : this.shows === "missing" ? "lack" : cell[1] === 1 ? "hot" : "";
      const td = el("td", { className: look, "aria-label": `${feature.name}, ${when}: ${says}`, tabIndex: -1 });
      td.role = "gridcell";
      const part = shown === null ? 0 : this.shows === "score" ? shown / most.get(feature.method) : shown;
      td.style.setProperty("--t", Math.sqrt(Math.min(1, Math.max(0, part))).toFixed(3));
      return td;
    });
    const newest = feature.cells.findLast((cell) => cell !== null) ?? [null, null, null, null];
    const value = this.shows === "missing" ? share(newest[2])
      : newest[0] === null ? "–" : newest[0].toFixed(2) + (newest[3] === null ? "" : ` / ${newest[3].toFixed(2)}`);
    const alarm = this.shows === "score" && newest[1] === 1;
    return el("tr", {}, el("th", { className: "names", scope: "row", title: feature.name }, name(feature.name)), ...made,
      el("td", { className: `value${alarm ? " alarm" : ""}`, textContent: value }));
  }

  cell(row, column) {
    const cells = this.body?.rows[row]?.querySelectorAll("td[aria-label]");
    return cells?.[Math.min(column, cells.length - 1)] ?? null;
  }

  key(event) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const from = event.target.closest("tbody td[aria-label]");
    if (!step || !from) return;
    event.preventDefault();
    const row = [...this.body.rows].indexOf(from.parentElement);
    const column = [...from.parentElement.querySelectorAll("td[aria-label]")].indexOf(from);
    const next = this.cell(Math.max(0, row + step[0]), Math.max(0, column + step[1]));
    if (!next) return;
    from.tabIndex = -1;
    next.tabIndex = 0;
    this.focus = [Math.max(0, row + step[0]), Math.max(0, column + step[1])];
    next.focus();
  }

  describe(cell) {
    if (cell) this.detail.textContent = cell.getAttribute("aria-label");
  }
}
