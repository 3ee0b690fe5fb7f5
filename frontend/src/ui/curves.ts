/** Training logs as series of points. */
import type { Epoch } from "../api/types";
import type { Point, Series } from "./chart";
import { percent } from "./format";

const METRIC_NAMES: Readonly<Record<string, string>> = {
  ap50: "AP@0.5",
  map: "mAP",
  type_accuracy: "type accuracy",
};
const METRIC_COLORS = ["var(--accent)", "var(--blue)", "var(--amber)", "var(--red)"] as const;

/** Training loss, and validation loss where it was measured. */
export function lossSeries(log: readonly Epoch[]): Series[] {
  const train = log.map(({ epoch, train_loss }): Point => [epoch, train_loss]);
  const validation = log.flatMap(({ epoch, validation_loss }): Point[] =>
    validation_loss === null ? [] : [[epoch, validation_loss]],
  );
  const series: Series[] = [{ name: "train", color: "var(--accent)", points: train }];
  if (validation.length > 0) {
    series.push({ name: "validation", color: "var(--blue)", points: validation, dashed: true });
  }
  return series;
}

/** One series per metric that the validation images were measured by. */
export function metricSeries(log: readonly Epoch[]): Series[] {
  const measured = Object.entries(METRIC_NAMES).map(([key, name]) => ({
    name,
    points: log.flatMap(({ epoch, metrics }): Point[] => {
      const value = metrics[key];
      return value == null ? [] : [[epoch, value]];
    }),
  }));
  return measured
    .filter(({ points }) => points.length > 0)
    .map((line, index) => ({
      ...line,
      color: METRIC_COLORS[index % METRIC_COLORS.length] ?? "currentColor",
    }));
}

/** How much of the training its epochs waited for images; "" where nobody has told. */
export function waitingSentence(log: readonly Epoch[]): string {
  const told = log.flatMap(({ waiting, seconds }) =>
    waiting === null ? [] : [{ waiting, seconds }],
  );
  const last = told.at(-1);
  if (last === undefined) return "";
  const seconds = told.reduce((sum, epoch) => sum + epoch.seconds, 0);
  const waited = told.reduce((sum, epoch) => sum + epoch.waiting * epoch.seconds, 0);
  const share = seconds > 0 ? waited / seconds : last.waiting;
  return `Waiting for images took ${percent(share)} of the training, ${percent(last.waiting)} in the last epoch.`;
}
