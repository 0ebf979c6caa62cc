// Reads the bridge's data every few seconds and shows it; continues if the bridge does not respond.
import { clock, count, LineChart, rate, seconds } from "./charts.js";
import { allModels, Cards, capture, errors, functions, HeatMap, keyOf, newestReport, pasts, reports, tiles } from "./panels.js";

const EVERY_MS = 3000, PATIENCE_MS = 8000, REPORTS_EVERY_MS = 15000;
const SHORT_SECONDS = 900;
const LOOKS = ["k0", "k1", "k2", "k3", "k4", "k5"];
const at = (id) => document.getElementById(id);

const charts = {
  traffic: new LineChart(at("traffic"), "Predictions per second", rate),
  latency: new LineChart(at("latency"), "Latency", seconds),
  answers: new LineChart(at("answers"), "Responses per second", rate),
  queues: new LineChart(at("queues"), "Messages waiting", count),
};
const score = new LineChart(at("score"), "Score", (value) => (value === null ? "–" : value.toFixed(3)));
const heat = new HeatMap(at("heat"), at("heat-detail"), (feature, analyses) => {
  at("score-of").textContent = feature.name;
  const values = (place) => feature.cells.map((cell) => cell?.[place] ?? null);
  const lines = [{ label: "score", values: values(0), look: "k0" }, { label: "critical score", values: values(3), look: "kbad" }];
  const [first, last] = [analyses[0].at_ms, analyses.at(-1).at_ms];
  score.show(lines, first, (last - first) / Math.max(1, analyses.length - 1) / 1000, "The feature has no score.");
});
const cards = new Cards(at("models"), (key) => {
  selected = key;
  render();
  askDrift();
});

let data = null, results = null, reportsAskedMs = 0, analyzed = "";
// which model's page it is; empty: that of all
const modelOf = () => new URLSearchParams(location.hash.slice(1)).get("model") ?? "";
const of = (model) => (model ? `?${new URLSearchParams({ model })}` : "");
const FEW_MODELS = 8;
let selected = null, drawn = "", range = null, goneSince = null;

async function ask(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-cache" });
  if (!response.ok) throw new Error(`${response.status}`);
  return response.json();
}

async function round() {
  try {
    const model = modelOf();
    const found = await ask(`api/overview${of(model)}`);
    if (model !== modelOf()) return void setTimeout(round, 0); // another page was chosen meanwhile
    data = found;
    goneSince = null;
    const newest = JSON.stringify(data.models.map((model) => model.analyzed_ms));
    if (newest !== analyzed || Date.now() - reportsAskedMs > REPORTS_EVERY_MS) {
      analyzed = newest;
      askReports();
    }
    choose();
    render();
    await askDrift();
  } catch {
    goneSince ??= Date.now();
  }
  connection();
  setTimeout(round, EVERY_MS);
}

// the results of the model whose page it is; where nothing is new, the bridge says so and sends nothing
function askReports() {
  reportsAskedMs = Date.now();
  const model = modelOf();
  ask(`api/reports${of(model)}`).then((answer) => {
    if (model !== modelOf()) return;
    results = { ...answer, of: model };
    render();
  }, () => {});
}

function choose() {
  const keys = data.models.map(keyOf);
  if (selected !== null && keys.includes(selected)) return;
  const worst = ["drift", "warning"].map((status) => data.models.find((model) => model.status === status && model.analyzed_ms !== null)).find(Boolean) ?? data.models.find((model) => model.analyzed_ms !== null) ?? data.models[0];
  selected = worst ? keyOf(worst) : null;
}

async function askDrift() {
  const model = data.models.find((entry) => keyOf(entry) === selected);
  at("drift-panel").hidden = !model || model.analyzed_ms === null;
  if (!model || model.analyzed_ms === null) return;
  const wanted = `${selected} ${model.analyzed_ms} ${model.drifted.length}`;
  if (wanted === drawn) return;
  const query = new URLSearchParams({ model: model.model, version: model.version });
  const found = await ask(`api/drift?${query}`).catch(() => null);
  if (!found || keyOf(found) !== selected) return;
  drawn = wanted;
  at("drift-of").textContent = `${found.model} v${found.version}`;
  heat.show(found, data.now_ms);
}

function render() {
  if (!data) return;
  const lines = linesOf(data);
  cards.show(data.models, selected, data.now_ms, results);
  const model = modelOf();
  renderAll(model);
  at("empty").hidden = data.all.length > 0;
  at("stage").textContent = data.stage;
  at("stage").hidden = false;
  at("tiles").replaceChildren(...tiles(data));
  const long = range ?? (lines.hasOld ? "long" : "short");
  for (const which of ["short", "long"]) at(`range-${which}`).setAttribute("aria-pressed", String(which === long));
  const slots = long === "short" ? Math.round(SHORT_SECONDS / data.slot_seconds) : data.requests["2xx"].length;
  const firstMs = data.first_slot_ms + (data.requests["2xx"].length - slots) * data.slot_seconds * 1000;
  for (const [id, [list, nothing]] of Object.entries(lines.charts))
    charts[id].show(list.map((line) => ({ ...line, values: line.values.slice(-slots) })), firstMs, data.slot_seconds, nothing);
  at("errors").replaceChildren(...errors(data.errors));
  at("capture").replaceChildren(...capture(data.capture));
  at("functions").replaceChildren(...functions(data.functions));
  newestReport(at("newest-report"), results, selected);
  pasts(at("past"), results, selected);
  if (!at("reports").contains(document.activeElement)) at("reports").replaceChildren(...reports(results, data.now_ms));
  const lag = data.lag_seconds === null ? "" : `, the newest ${seconds(data.lag_seconds)} old when it was read`;
  const unusable = data.parse_errors ? `, ${count(data.parse_errors)} metric lines unusable` : "";
  const left = data.left_out ? `, ${count(data.left_out)} series too many for this page` : "";
  at("bridge-facts").textContent = `${count(data.events)} log events read${lag}${unusable}${left}`;
}

function renderAll(model) {
  const one = data.all.find((entry) => entry.model === model);
  at("all-panel").hidden = model !== "" || data.all.length < 2;
  at("all-count").textContent = `${count(data.all.length)}, the worst first`;
  at("find").hidden = data.all.length <= FEW_MODELS;
  const words = at("find").value.toLowerCase();
  const shown = data.all.filter((entry) => `${entry.model} ${entry.owner}`.toLowerCase().includes(words));
  if (!at("all").contains(document.activeElement)) at("all").replaceChildren(...allModels(shown, data.now_ms));
  at("back").hidden = model === "";
  at("models-title").textContent = model ? `${model}${one?.owner ? `, owned by ${one.owner}` : ""}` : "Model versions";
  const versions = (one ? [one] : data.all).reduce((sum, entry) => sum + entry.versions, 0);
  const beyond = versions - data.models.length;
  at("beyond").hidden = beyond <= 0 && !(model && !one);
  at("beyond").textContent = model && !one ? "No predictions and no analyses of this model are known." : `and ${count(beyond)} more that stand better or have less traffic${model ? "" : ": choose a model in the list"}`;
}

function linesOf(data) {
  const perSecond = (values) => minuteMeans(values, Math.round(60 / data.slot_seconds)).map((value) => (value === null ? null : value / data.slot_seconds));
  const busy = data.models.filter((model) => model.predictions > 0).sort((a, b) => b.predictions - a.predictions);
  const traffic = busy.slice(0, LOOKS.length).map((model, n) => ({ label: `${model.model} v${model.version}`, values: perSecond(model.traffic), look: LOOKS[n], area: true }));
  const latency = Object.entries(data.latency).map(([label, values], n) => ({ label, values, look: LOOKS[n] }));
  const names = { "2xx": ["served (2xx)", "k0"], "4xx": ["refused (4xx)", "k4"], "5xx": ["failed (5xx)", "kbad"] };
  const answers = Object.entries(data.requests).map(([key, values]) => ({ label: names[key][0], values: perSecond(values), look: names[key][1], area: key !== "4xx" }));
  const queues = data.queues.map((queue, n) => ({ label: queue.name, values: queue.visible, look: queue.dead ? "kbad" : LOOKS[n % 6], area: !queue.dead }));
  const old = data.requests["2xx"].length - Math.round(SHORT_SECONDS / data.slot_seconds);
  return {
    hasOld: Object.values(data.requests).some((values) => values.slice(0, old).some((value) => value)),
    charts: {
      traffic: [traffic, "No predictions in the last hour."],
      latency: [latency, "No requests in the last hour."],
      answers: [answers, "The bridge has just started."],
      queues: [queues, "No queue is configured, or SQS does not respond."],
    },
  };
}

// the mean of each minute up to a slot, over the slots that are known; what is not known stays so
function minuteMeans(values, slots) {
  return values.map((value, end) => {
    const known = values.slice(Math.max(0, end + 1 - slots), end + 1).filter((one) => one !== null);
    return value === null ? null : known.reduce((sum, one) => sum + one, 0) / known.length;
  });
}

function connection() {
  const pill = at("connection");
  const [look, text] = goneSince !== null
    ? ["gone", `The bridge is not reachable since ${clock(goneSince, true)}; trying again`]
    : data.bridge.ready ? ["live", "Live"]
    : ["late", `The logs are not read: ${data.bridge.reason}`];
  document.body.classList.toggle("offline", goneSince !== null);
  pill.className = `pill ${look}`;
  if (pill.textContent !== text) pill.textContent = text; // a status is read out when it changes
  if (goneSince === null) at("updated").textContent = `updated ${clock(Date.now(), true)}`;
}

at("find").addEventListener("input", () => data && renderAll(modelOf()));
// the address says which model's page it is
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); at("main").focus(); });
addEventListener("hashchange", async () => {
  selected = null;
  results = null;
  const model = modelOf();
  askReports();
  const found = await ask(`api/overview${of(model)}`).catch(() => null);
  if (!found || model !== modelOf()) return;
  data = found;
  choose();
  render();
  at("main").focus();
  await askDrift();
});
for (const which of ["short", "long"]) at(`range-${which}`).addEventListener("click", () => { range = which; render(); });
for (const which of ["score", "missing"]) at(`show-${which}`).addEventListener("click", () => {
  heat.shows = which;
  for (const other of ["score", "missing"]) at(`show-${other}`).setAttribute("aria-pressed", String(other === which));
  heat.draw();
});
round();
