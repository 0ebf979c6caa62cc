/** A data source that asks Prometheus's HTTP API what Grafana's own would ask. */
import { type DataFrame, FieldType, LoadingState, type ScopedVars, toDataFrame } from "@grafana/data";
import { sceneGraph } from "@grafana/scenes";
import { from } from "rxjs";

type Series = { metric: Record<string, string>; value?: [number, string]; values?: [number, string][] };

/** Several values of a variable are alternatives of a regular expression. */
const alternatives = (value: unknown): string =>
  Array.isArray(value) ? (value.length === 1 ? value[0] : `(${value.join("|")})`) : String(value);

/** Fill variables in; `scope` knows the scene that they are of. */
export function interpolate(text: string, scope?: ScopedVars): string {
  const held = scope?.__sceneObject?.value as any;
  const scene = held?.valueOf ? held.valueOf() : held;
  return scene ? sceneGraph.interpolate(scene, text, scope, alternatives) : text;
}

async function get(path: string, query: Record<string, string>): Promise<any> {
  const { prometheus } = (window as any).asked;
  const answer = await (await fetch(`${prometheus}${path}?${new URLSearchParams(query)}`)).json();
  if (answer.status !== "success") throw new Error(answer.error);
  return answer.data;
}

function frame(series: Series, target: any, scope?: ScopedVars): DataFrame {
  const points = series.values ?? [series.value!];
  const legend = interpolate(target.legendFormat, scope).replace(
    /\{\{\s*(\w+)\s*\}\}/g,
    (_, label: string) => series.metric[label] ?? "",
  );
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: "Time", type: FieldType.time, values: points.map(([time]) => time * 1000) },
      {
        name: "Value",
        type: FieldType.number,
        values: points.map(([, value]) => Number(value)),
        labels: series.metric,
        config: { displayNameFromDS: legend },
      },
    ],
  });
}

/** The format `heatmap`: buckets in the order of their bounds, each without those below it. */
function buckets(frames: DataFrame[]): DataFrame[] {
  if (frames.length === 0) return [];
  const bound = ({ fields: [, count] }: DataFrame) => Number(count.labels!.le.replace("+Inf", "Infinity"));
  const sorted = [...frames].sort((one, other) => bound(one) - bound(other));
  const counts = sorted.map(({ fields: [, count] }, place) => {
    const below = place > 0 ? sorted[place - 1].fields[1].values : [];
    const values = count.values.map((value: number, at: number) => value - (below[at] ?? 0));
    return { ...count, name: count.config.displayNameFromDS!, values };
  });
  return [{ ...sorted[0], fields: [sorted[0].fields[0], ...counts] }];
}

/** `scrapeSeconds`: the data source's `timeInterval`. */
export function prometheus(uid: string, scrapeSeconds: number): any {
  const ask = async (target: any, request: any): Promise<DataFrame[]> => {
    const [start, end] = [request.range.from, request.range.to].map((time) => time.valueOf() / 1000);
    const step = Math.max(scrapeSeconds, Math.round(request.intervalMs / 1000));
    const expression = target.expr
      .replaceAll("$__rate_interval", `${Math.max(step + scrapeSeconds, 4 * scrapeSeconds)}s`)
      .replaceAll("$__range", `${Math.round(end - start)}s`);
    const query = interpolate(expression, request.scopedVars);
    const found = target.instant
      ? await get("/api/v1/query", { query, time: `${end}` })
      : await get("/api/v1/query_range", { query, start: `${start}`, end: `${end}`, step: `${step}` });
    const frames = found.result.map((series: Series) => frame(series, target, request.scopedVars));
    return target.format === "heatmap" ? buckets(frames) : frames;
  };
  return {
    uid,
    type: "prometheus",
    name: "Prometheus",
    meta: { id: "prometheus", info: {}, metrics: true },
    interval: `${scrapeSeconds}s`,
    getRef: () => ({ uid, type: "prometheus" }),
    query: (request: any) =>
      from(
        Promise.all(request.targets.map((target: any) => ask(target, request))).then((found) => ({
          data: found.flat(),
          state: LoadingState.Done,
        })),
      ),
    async metricFindQuery(asked: any, options: any) {
      const text = typeof asked === "string" ? asked : asked.query;
      const [, selector, label] = /^label_values\((.+), (\w+)\)$/.exec(text)!;
      const match = interpolate(selector, options.scopedVars);
      const values = await get(`/api/v1/label/${label}/values`, { "match[]": match });
      return values.map((value: string) => ({ text: value }));
    },
  };
}
