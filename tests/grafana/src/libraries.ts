/** What Grafana's server sets up in the browser before a dashboard is shown; here for its libraries. */
import * as data from "@grafana/data";
import { EventBusSrv, createTheme } from "@grafana/data";
import * as runtime from "@grafana/runtime";
import { of } from "rxjs";
import { catchError, map } from "rxjs/operators";
import { interpolate } from "./prometheus";

export const theme = createTheme({ colors: { mode: "dark" } });

type Processor = (value: any, context: any, settings?: any) => any;

/** An option that every field may set; without its registration it would be ignored silently. */
function option(id: string, process: Processor, settings: object = {}): any {
  const nothing = () => null;
  const shown = { id, path: id, name: id, description: "", editor: nothing, override: nothing };
  return { ...shown, process, settings, shouldApply: () => true };
}

export function setUp(source: data.DataSourceApi): void {
  const transformers = new Map(
    Object.values(data.standardTransformers).map((item) => [item.id, item] as const),
  );
  data.standardTransformersRegistry.setInit(() =>
    [...transformers.values()].map(
      (item) => ({ id: item.id, name: item.name, transformation: item, editor: () => null }) as any,
    ),
  );
  data.standardFieldConfigEditorRegistry.setInit(() => [
    option("displayName", data.displayNameOverrideProcessor as Processor),
    option("unit", data.unitOverrideProcessor as Processor),
    option("min", data.numberOverrideProcessor as Processor),
    option("max", data.numberOverrideProcessor as Processor),
    option("decimals", data.numberOverrideProcessor as Processor, { integer: true }),
    option("noValue", data.stringOverrideProcessor as Processor),
    option("color", data.identityOverrideProcessor),
    option("mappings", data.valueMappingsOverrideProcessor as Processor),
    option("thresholds", data.thresholdsOverrideProcessor as Processor),
    option("links", data.dataLinksOverrideProcessor as Processor),
  ]);
  const settings = { uid: source.uid, type: source.type, name: source.name, meta: source.meta };
  runtime.setDataSourceSrv({
    get: async () => source,
    getList: () => [],
    getInstanceSettings: () => settings,
    reload() {},
  } as any);
  runtime.setTemplateSrv({
    getVariables: () => [],
    replace: (text: string, scope: data.ScopedVars) => interpolate(text ?? "", scope),
    containsTemplate: () => false,
    updateTimeRange() {},
  } as any);
  runtime.setRunRequest(((_: unknown, request: data.DataQueryRequest) => {
    const answer = source.query(request) as any;
    const about = { annotations: [], timeRange: request.range, request };
    return answer.pipe(
      map((found: any) => ({ ...about, state: data.LoadingState.Done, series: found.data })),
      catchError((error: Error) => {
        console.error(`query: ${error.message}`);
        const told = { message: error.message };
        return of({ ...about, state: data.LoadingState.Error, series: [], error: told });
      }),
    );
  }) as any);
  (runtime as any).setAppEvents?.(new EventBusSrv());
  (runtime.config as any).theme2 = theme;
}
