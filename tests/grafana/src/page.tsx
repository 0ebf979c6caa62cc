/**
 * One dashboard on a page, drawn by Grafana's scenes library.
 *
 * The page's `asked` says which dashboard, which time, and how often which Prometheus asks;
 * `isDrawn()` is true once every panel shows what Prometheus answered.
 */
import { LoadingState, ThemeContext } from "@grafana/data";
import { initPluginTranslations } from "@grafana/i18n";
import * as runtime from "@grafana/runtime";
import {
  EmbeddedScene,
  QueryVariable,
  SceneControlsSpacer,
  SceneDataTransformer,
  SceneGridItem,
  SceneGridLayout,
  SceneGridRow,
  SceneQueryRunner,
  SceneTimeRange,
  SceneVariableSet,
  TextBoxVariable,
  VariableValueSelectors,
  VizPanel,
  sceneGraph,
} from "@grafana/scenes";
import { GlobalStyles } from "@grafana/ui";
import { createRoot } from "react-dom/client";
import { Router } from "react-router-dom";
import { CompatRouter } from "react-router-dom-v5-compat";
import { setUp, theme } from "./libraries";
import { PLUGINS } from "./plugins";
import { prometheus } from "./prometheus";

type Asked = { board: any; from: string; to: string; scrapeSeconds: number };
const { board, from, to, scrapeSeconds } = (window as any).asked as Asked;

function panel(described: any): SceneGridItem {
  const { x, y, w, h } = described.gridPos;
  const { title, description, options, fieldConfig, datasource, targets, maxDataPoints } = described;
  const runner = new SceneQueryRunner({ datasource, queries: targets, maxDataPoints });
  const $data = new SceneDataTransformer({ $data: runner, transformations: described.transformations ?? [] });
  const body = new VizPanel({ title, description, pluginId: described.type, options, fieldConfig, $data });
  return new SceneGridItem({ x, y, width: w, height: h, body });
}

/** Panels below a row belong to it, as Grafana reads a dashboard. */
function grid(panels: any[]): SceneGridLayout {
  const children: (SceneGridItem | SceneGridRow)[] = [];
  for (const described of panels) {
    const last = children.at(-1);
    if (described.type === "row") {
      children.push(new SceneGridRow({ title: described.title, y: described.gridPos.y, children: [] }));
    } else if (last instanceof SceneGridRow) {
      last.setState({ children: [...last.state.children, panel(described)] });
    } else {
      children.push(panel(described));
    }
  }
  return new SceneGridLayout({ children });
}

function variable(described: any): TextBoxVariable | QueryVariable {
  const { name, label, query, datasource, refresh, sort, multi, includeAll, allValue } = described;
  if (described.type === "textbox") return new TextBoxVariable({ name, label, value: query });
  const all = includeAll ? { value: "$__all", text: "All" } : {};
  return new QueryVariable({
    ...{ name, label, query, datasource, refresh, sort, includeAll, allValue },
    ...{ isMulti: multi, ...all },
  });
}

async function show(): Promise<void> {
  setUp(prometheus("prometheus-datasource", scrapeSeconds));
  runtime.setPluginImportUtils({
    importPanelPlugin: async (id: string) => PLUGINS[id],
    getPanelPluginFromCache: (id: string) => PLUGINS[id],
  });
  await initPluginTranslations("grafana");
  const scene = new EmbeddedScene({
    $timeRange: new SceneTimeRange({ from, to, timeZone: "utc" }),
    $variables: new SceneVariableSet({ variables: board.templating.list.map(variable) }),
    controls: [new VariableValueSelectors({}), new SceneControlsSpacer()],
    body: grid(board.panels),
  });
  const done = (shown: any) => [LoadingState.Done, LoadingState.Error].includes(sceneGraph.getData(shown).state.data?.state!);
  (window as any).isDrawn = () => {
    const panels = sceneGraph.findAllObjects(scene, (object) => object instanceof VizPanel);
    return panels.length > 0 && panels.every(done);
  };
  const surface = { width: "100vw", minHeight: "100vh", display: "flex", background: theme.colors.background.canvas };
  createRoot(document.getElementById("root")!).render(
    <ThemeContext.Provider value={theme}>
      <runtime.LocationServiceProvider service={runtime.locationService}>
        <Router history={runtime.locationService.getHistory()}>
          <CompatRouter>
            <GlobalStyles />
            <div style={surface}>
              <scene.Component model={scene} />
            </div>
          </CompatRouter>
        </Router>
      </runtime.LocationServiceProvider>
    </ThemeContext.Provider>,
  );
}

void show();
