/** What Grafana takes for a dashboard, as its published types say: `tsc` holds the JSON to it. */
import type {
  Dashboard,
  FieldConfig,
  Panel,
  RowPanel,
  VariableModel,
} from "@schema/dashboard/x/dashboard_types.gen";
import type * as Bars from "@schema/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen";
import type * as Stat from "@schema/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as States from "@schema/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen";
import type * as Heat from "@schema/composable/statushistory/panelcfg/x/StatusHistoryPanelCfg_types.gen";
import type * as Lines from "@schema/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";
import type { CloudWatchMetricsQuery } from "@schema/composable/cloudwatch/dataquery/x/CloudWatchDataQuery_types.gen";
import type { DataLink } from "@grafana/data";

/** A type as JSON spells it: enums are their values. */
type Json<T> = T extends boolean | null | undefined
  ? T
  : T extends string
    ? `${T}`
    : T extends number
      ? number extends T
        ? number
        : `${T}` extends `${infer Value extends number}`
          ? Value
          : never
      : T extends (infer Item)[]
        ? Json<Item>[]
        : T extends object
          ? { [Key in keyof T]: Json<T[Key]> }
          : T;

type Link = Pick<DataLink, "title" | "url" | "targetBlank">;
/** `gradientMode` and the like have defaults, so all is optional here. */
type Field<Custom> = Omit<Json<FieldConfig>, "custom" | "links"> & {
  custom?: Partial<Json<Custom>>;
  links?: Link[];
};
type Override = {
  matcher: { id: string; options?: string };
  properties: { id: keyof FieldConfig; value?: unknown }[];
};
/** A query to Prometheus: its types are published with Grafana's server alone. */
type Query = {
  datasource: { type: "prometheus"; uid: "prometheus-datasource" };
  refId: string;
  expr: string;
  legendFormat: string;
  format: "time_series" | "table" | "heatmap";
  instant: boolean;
  range: boolean;
};
/** And one to CloudWatch. */
type CloudQuery = Omit<Json<CloudWatchMetricsQuery>, "datasource"> & {
  datasource: { type: "cloudwatch"; uid: "cloudwatch-datasource" };
  statistic: string;
};
type Kind<Type extends string, Options, Custom> = Omit<
  Json<Panel>,
  "type" | "options" | "fieldConfig" | "targets" | "id" | "gridPos"
> & {
  id: number;
  gridPos: { h: number; w: number; x: number; y: number };
  type: Type;
  options: Partial<Json<Options>>;
  fieldConfig: { defaults: Field<Custom>; overrides: Override[] };
  targets: Query[] | CloudQuery[];
};
type Nothing = Record<string, never>;

type AnyPanel =
  | Kind<"stat", Stat.Options, Nothing>
  | Kind<"bargauge", Bars.Options, Nothing>
  | Kind<"timeseries", Lines.Options, Lines.FieldConfig>
  | Kind<"state-timeline", States.Options, States.FieldConfig>
  | Kind<"status-history", Heat.Options, Heat.FieldConfig>
  | (Omit<Json<RowPanel>, "type" | "panels"> & { type: "row"; panels: [] });

export type Board = Omit<Json<Dashboard>, "panels" | "templating"> & {
  panels: AnyPanel[];
  templating: { list: Json<VariableModel>[] };
};
