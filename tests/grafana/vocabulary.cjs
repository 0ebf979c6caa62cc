// Prints what Grafana's data library knows by name, and what it makes of single values, as JSON.
//
//   node vocabulary.cjs < panels.json
//
// `panels.json`: a list of panels. The library wants a browser's window when it is loaded.
const { JSDOM } = require("jsdom");
const { window } = new JSDOM("", { url: "http://localhost/" });
Object.assign(globalThis, { window, document: window.document, localStorage: window.localStorage });
Object.defineProperty(globalThis, "navigator", { value: window.navigator, configurable: true });

const fs = require("node:fs");
const path = require("node:path");
const data = require("@grafana/data");

const theme = data.createTheme();
const schema = path.dirname(require.resolve("@grafana/schema/package.json"));
const ids = (registry) => registry.list().map((item) => item.id);
// the text and colour of a value as the panel shows it; null: nothing was found
const shown = (panel, value) => {
  const field = { type: data.FieldType.number, config: panel.fieldConfig.defaults };
  const series = value === null ? [] : [data.toDataFrame({ fields: [{ ...field, name: "v", values: [value] }] })];
  const [first] = data.getFieldDisplayValues({
    fieldConfig: panel.fieldConfig,
    reduceOptions: panel.options.reduceOptions,
    replaceVariables: (text) => text,
    theme,
    data: series,
    timeZone: "utc",
  });
  return { text: data.formattedValueToString(first.display), colour: first.display.color };
};

const panels = JSON.parse(fs.readFileSync(0, "utf8"));
console.log(
  JSON.stringify({
    units: data.getValueFormats().flatMap((group) => group.submenu.map((unit) => unit.value)),
    reducers: ids(data.fieldReducers),
    transformations: Object.values(data.standardTransformers).map((item) => item.id),
    matchers: ids(data.fieldMatchers),
    colourModes: ids(data.fieldColorModeRegistry),
    colours: Object.fromEntries(
      ["blue", "green", "yellow", "red", "text"].map((name) => [name, theme.visualization.getColorByName(name)]),
    ),
    // the library has no list of panels; the schema has a folder for each
    panels: fs.readdirSync(path.join(schema, "dist/types/raw/composable")),
    shown: panels.map((panel) => [null, 0, 1, 79, 81, 1e6].map((value) => shown(panel, value))),
  }),
);
