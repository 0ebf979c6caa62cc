/** Panels by their type, from the components that Grafana publishes: its own panels are not. */
import {
  type DataFrame,
  FieldColorModeId,
  FieldType,
  type PanelProps,
  PanelPlugin,
  ThresholdsMode,
  VizOrientation,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
} from "@grafana/data";
import { BarGauge, BigValue, DataLinksContextMenu, TimeSeries, VizRepeater } from "@grafana/ui";
import { Bands } from "./bands";
import { theme } from "./libraries";

/** Draw a component for each value, side by side or below each other. */
function Repeated(props: PanelProps & { one: (drawn: any) => JSX.Element; autoGrid?: boolean }): JSX.Element {
  const { data, fieldConfig, options, replaceVariables, width, height, renderCounter, one, autoGrid } = props;
  const values = () =>
    getFieldDisplayValues({
      fieldConfig,
      reduceOptions: options.reduceOptions,
      replaceVariables,
      theme,
      data: data.series,
      sparkline: options.graphMode === "area",
      timeZone: "utc",
    });
  return (
    <VizRepeater
      getValues={values}
      source={data}
      width={width}
      height={height}
      renderCounter={renderCounter}
      orientation={options.orientation ?? VizOrientation.Auto}
      autoGrid={autoGrid}
      minVizHeight={options.minVizHeight}
      maxVizHeight={options.maxVizHeight}
      getAlignmentFactors={getDisplayValueAlignmentFactors as any}
      renderValue={one}
    />
  );
}

function Stat(props: PanelProps): JSX.Element {
  const one = ({ value, alignmentFactors, count, width, height }: any) => {
    const drawn = (menu: any) => (
      <BigValue
        {...props.options}
        value={value.display}
        sparkline={value.sparkline}
        count={count}
        alignmentFactors={alignmentFactors}
        width={width}
        height={height}
        theme={theme}
        onClick={menu.openMenu}
        className={menu.targetClassName}
      />
    );
    return value.hasLinks ? <DataLinksContextMenu links={value.getLinks}>{drawn}</DataLinksContextMenu> : drawn({});
  };
  return <Repeated {...props} one={one} autoGrid />;
}

function Bars(props: PanelProps): JSX.Element {
  const one = ({ value, alignmentFactors, orientation, width, height }: any) => (
    <BarGauge
      {...props.options}
      isOverflow={false}
      value={value.display}
      field={value.field}
      display={value.view?.getFieldDisplayProcessor(value.colIndex)}
      alignmentFactors={alignmentFactors}
      orientation={orientation}
      itemSpacing={8}
      width={width}
      height={height}
      theme={theme}
    />
  );
  return <Repeated {...props} one={one} />;
}

/** Gaps where a value is no number, as Grafana's time series panel has them. */
function withGaps(series: DataFrame): DataFrame {
  const fields = series.fields.map((field) => {
    const gap = (value: number | null) => (Number.isFinite(value) ? value : null);
    return field.type === FieldType.number ? { ...field, values: field.values.map(gap) } : field;
  });
  return { ...series, fields };
}

function Lines({ data, options, timeRange, width, height }: PanelProps): JSX.Element {
  const frames = data.series.map(withGaps);
  if (!frames.some((series) => series.length > 0)) {
    return <div style={{ textAlign: "center", paddingTop: height / 2 - 10 }}>No data</div>;
  }
  const drawn = { frames, timeRange, timeZone: "utc", width, height, legend: options.legend, options };
  return <TimeSeries {...(drawn as any)} />;
}

/** Defaults of a line's look, as Grafana's time series panel has them. */
const LOOK = {
  drawStyle: "line",
  lineWidth: 1,
  fillOpacity: 0,
  showPoints: "auto",
  pointSize: 5,
  axisPlacement: "auto",
  scaleDistribution: { type: "linear" },
  stacking: { mode: "none", group: "A" },
  hideFrom: {},
  thresholdsStyle: { mode: "off" },
};

function look(builder: any): void {
  for (const [id, defaultValue] of Object.entries(LOOK)) {
    const nothing = () => null;
    const process = (value: unknown) => value;
    const editors = { editor: nothing, override: nothing, process, shouldApply: () => true };
    builder.addCustomEditor({ id, path: id, name: id, defaultValue, ...editors });
  }
}

function plugin(id: string, component: any, mode: FieldColorModeId, custom?: (builder: any) => void): PanelPlugin {
  const made = new PanelPlugin(component);
  made.meta = { id, name: id, info: { version: "12.1.0" }, skipDataQuery: false } as any;
  // Grafana's own defaults, so that a panel that sets none shows here what it would show there
  const steps = [
    { value: -Infinity, color: "green" },
    { value: 80, color: "red" },
  ];
  made.useFieldConfig({
    standardOptions: {
      color: { defaultValue: { mode } },
      thresholds: { defaultValue: { mode: ThresholdsMode.Absolute, steps } },
    } as any,
    useCustomConfig: custom,
  });
  return made;
}

export const PLUGINS: Record<string, PanelPlugin> = {
  stat: plugin("stat", Stat, FieldColorModeId.Thresholds),
  bargauge: plugin("bargauge", Bars, FieldColorModeId.Thresholds),
  timeseries: plugin("timeseries", Lines, FieldColorModeId.PaletteClassic, look),
  "state-timeline": plugin("state-timeline", Bands, FieldColorModeId.Thresholds),
  "status-history": plugin("status-history", Bands, FieldColorModeId.Thresholds),
};
