/** The learning curve as series of points, and what the data set's page says of it. No DOM. */
import type { CurvePoint, FamilyCurve, Fit, LearningCurve, LearntFigure, Work } from "../api/types";
import { extent, niceDomain, type Point, type Range, type Series } from "./chart";
import { capital, count, duration, plural } from "./format";

/** What the curve is drawn against. */
export type Against = "cells" | "minutes";

/** One figure of one family. */
export interface Choice {
  key: string;
  name: string;
  family: FamilyCurve;
  fit: Fit;
}

/** What a version is drawn as. */
interface Mark {
  x: number;
  version: string;
  value: number;
  low: number | null;
  high: number | null;
}

const FIGURE_NAMES: Readonly<Record<LearntFigure, string>> = {
  ap50: "AP@0.5",
  type_accuracy: "type accuracy",
};
const GAP: Point = [NaN, NaN];
const Y_TICKS = 5;

/** The figures of families that were trained here, those first that were measured. */
export function choices({ families }: LearningCurve): Choice[] {
  const found = families.flatMap((family) =>
    family.points.length === 0
      ? []
      : family.fits.map((fit) => ({
          key: `${family.family} ${fit.figure}`,
          name: `${capital(family.family)} ${FIGURE_NAMES[fit.figure]}`,
          family,
          fit,
        })),
  );
  const measured = ({ family }: Choice): boolean => family.test_sets.length > 0;
  return [...found.filter(measured), ...found.filter((choice) => !measured(choice))];
}

const across = (point: CurvePoint, against: Against): number | null =>
  against === "cells" ? point.annotated_cells : point.minutes;

/** Versions on one test set, by what had been put in. */
function marks({ family, fit }: Choice, testSet: string, against: Against): Mark[] {
  return family.points
    .flatMap((point): Mark[] => {
      const x = across(point, against);
      const on = point.measured.find(({ test_set }) => test_set === testSet);
      const figure = on?.[fit.figure];
      return x === null || !figure ? [] : [{ x, version: point.version, ...figure }];
    })
    .sort((a, b) => a.x - b.x);
}

/** Dots of versions; lines join only those on the same images. */
function lineOf(groups: readonly Mark[][]): Pick<Series, "points" | "ranges"> {
  const filled = groups.filter((group) => group.length > 0);
  return {
    points: filled.flatMap((group, index): Point[] => [
      ...(index === 0 ? [] : [GAP]),
      ...group.map(({ x, value }): Point => [x, value]),
    ]),
    ranges: filled.flat().flatMap(({ x, low, high }): Range[] => {
      return low === null || high === null ? [] : [[x, low, high]];
    }),
  };
}

function fitted({ fit }: Choice, against: Against): Series | null {
  const drawn = (fit.curve?.drawn ?? []).flatMap(({ cells, minutes, value, low, high }) => {
    const x = against === "cells" ? cells : minutes;
    return x === null ? [] : [{ x, value, low, high }];
  });
  if (drawn.length === 0) return null;
  return {
    name: "fitted curve",
    color: "var(--blue)",
    dashed: true,
    smooth: true,
    points: drawn.map(({ x, value }): Point => [x, value]),
    ranges: drawn.map(({ x, low, high }): Range => [x, low, high]),
  };
}

/** The set that the curve is drawn on is told from earlier and later ones. */
function setNames({ family }: Choice): { reference: string; others: string } {
  const reference = family.test_sets.find(({ name }) => name === family.reference);
  const split = reference?.split ?? "test";
  return {
    reference: `on ${plural(reference?.images ?? 0, `${split} image`)}`,
    others: `on other ${split} images`,
  };
}

/** Versions on the newest shared images, those on others, and the fitted curve. */
export function learningSeries(choice: Choice, against: Against): Series[] {
  const { family } = choice;
  const names = setNames(choice);
  const others = family.test_sets.filter(({ name }) => name !== family.reference);
  const measured: Series[] = [
    {
      name: names.others,
      color: "var(--text-2)",
      ...lineOf(others.toReversed().map(({ name }) => marks(choice, name, against))),
    },
    {
      name: names.reference,
      color: "var(--accent)",
      ...lineOf([marks(choice, family.reference ?? "", against)]),
    },
  ];
  const curve = fitted(choice, against);
  const shown = measured.filter(({ points }) => points.length > 0);
  return shown.length === 0 ? [] : [...(curve ? [curve] : []), ...shown];
}

/** The range of the vertical axis: of all values with their ranges, inside 0 to 1. */
export function learningDomain(series: readonly Series[]): Point {
  const values = series.flatMap(({ points, ranges = [] }) => [
    ...points.map(([, y]) => y),
    ...ranges.flatMap(([, low, high]) => [low, high]),
  ]);
  const [low, high] = niceDomain(extent(values) ?? [0, 1], Y_TICKS);
  return [Math.max(0, low), Math.min(1, high)];
}

/** "segmenter-3: 412 annotated cells" of what is drawn at `x`. */
export function stopName({ family }: Choice, against: Against, x: number): string {
  const there = family.points.filter((point) => across(point, against) === x);
  const put = against === "cells" ? plural(x, "annotated cell") : `${duration(60 * x)} of work`;
  return [there.map(({ version }) => version).join(", "), put].filter(Boolean).join(": ");
}

/** Why nothing is drawn, and what to do. */
export function whyEmpty({ family }: Choice, against: Against): string {
  if (family.test_sets.length === 0) {
    return (
      `No ${family.family} was measured on images that it did not learn from: correct some test` +
      " images, and the next training is measured on them."
    );
  }
  if (against === "minutes" && family.points.every(({ minutes }) => minutes === null)) {
    return (
      "No correction that taught a version tells how long it took. The browser tells it; imported" +
      " masks do not."
    );
  }
  return "None of the versions was measured by this.";
}

/** The sentences on whether more labels help; figures that have the same one to say share it. */
export function verdicts(curve: LearningCurve): { names: string[]; fit: Fit }[] {
  const found: { names: string[]; fit: Fit }[] = [];
  for (const { name, fit } of choices(curve)) {
    const same = found.find((other) => other.fit.sentence === fit.sentence);
    if (same && fit.curve === null) same.names.push(name);
    else found.push({ names: [name], fit });
  }
  return found;
}

/** How many corrections the minutes leave out; "" when none. */
export function untimedWords({ now }: LearningCurve): string {
  if (now.untimed === 0 || now.minutes === null) return "";
  return (
    `${count(now.untimed)} of ${plural(now.revisions, "correction")} came without a time (imported,` +
    " or sent by a program), so there was more work than these minutes."
  );
}

/** "segmenter-2 with detector-1". */
export const pairName = ({ segmenter, detector }: Work): string =>
  detector === null ? segmenter : `${segmenter} with ${detector}`;

/** A median that may be below a second: "0.8 s", "2.4 s", else as durations are. */
export function seconds(value: number | null): string {
  if (value === null) return "–";
  return value < 10 ? `${value.toFixed(1)} s` : duration(value);
}
