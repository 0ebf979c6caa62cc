/**
 * State timeline and status history for the tests: a line of coloured cells per series.
 *
 * Grafana's own are part of its server and not published. Names, texts and colours are those of
 * its libraries; how the cells look is not.
 */
import { type Field, FieldType, type PanelProps, formattedValueToString, getFieldDisplayName } from "@grafana/data";
import { theme } from "./libraries";

type Cell = { from: number; to: number; text: string; color: string };

/** Neighbours of one text and colour are one cell when `merge` is set. */
function cells(time: Field, values: Field, end: number, merge: boolean): Cell[] {
  const made: Cell[] = [];
  const typical = time.values.length > 1 ? time.values[1] - time.values[0] : end - time.values[0];
  time.values.forEach((from: number, at: number) => {
    if (values.values[at] == null) return;
    const shown = values.display!(values.values[at]);
    const next = { from, to: Math.min(end, from + typical), text: formattedValueToString(shown), color: shown.color! };
    const last = made.at(-1);
    if (merge && last && last.color === next.color && last.text === next.text && last.to >= from) last.to = next.to;
    else made.push(next);
  });
  return made;
}

export function Bands({ data, options, timeRange, width, height }: PanelProps): JSX.Element {
  const lines = data.series.flatMap((series) => {
    const time = series.fields.find((field) => field.type === FieldType.time)!;
    return series.fields
      .filter((field) => field.type === FieldType.number)
      .map((field) => ({ name: getFieldDisplayName(field, series, data.series), time, field }));
  });
  if (lines.length === 0) return <div style={{ textAlign: "center", paddingTop: height / 2 - 10 }}>No data</div>;
  const [start, end] = [timeRange.from.valueOf(), timeRange.to.valueOf()];
  const [names, room] = [200, width - 210];
  const share = (time: number) => ((time - start) / (end - start)) * room;
  const line = height / lines.length;
  return (
    <div style={{ position: "relative", width, height, fontSize: 12, overflow: "hidden" }}>
      {lines.map(({ name, time, field }, at) => (
        <div key={name} data-line={name} style={{ position: "absolute", top: at * line, height: line, width }}>
          <span style={{ position: "absolute", width: names, textAlign: "right", lineHeight: `${line}px` }}>{name}</span>
          {cells(time, field, end, options.mergeValues === true).map((cell) => (
            <span
              key={cell.from}
              data-cell={cell.text}
              style={{
                position: "absolute",
                left: names + 10 + share(cell.from),
                width: Math.max(1, share(cell.to) - share(cell.from)),
                top: line * 0.05,
                height: line * 0.9,
                lineHeight: `${line * 0.9}px`,
                paddingLeft: 4,
                overflow: "hidden",
                background: cell.color,
                color: theme.colors.getContrastText(cell.color),
              }}
            >
              {options.showValue === "never" ? "" : cell.text}
            </span>
          ))}
        </div>
      ))}
    </div>
  );
}
