/** What the models said of a cell; read by panels and by the walk through uncertain cells. */

export interface Evidence {
  readonly score: number;
  readonly probabilities: Readonly<Record<string, number>>;
  readonly uncertainty: number;
  readonly terms: Readonly<Record<string, number>>;
  /** "both", "segmenter" or "detector"; "" where there was but one model to see it. */
  readonly seenBy: string;
}

/** A term above this is named as a reason. */
const NOTABLE = 0.3;
/**
 * `edge` looks at the step from one pixel to the next, and even at a perfect border the cell
 * probability falls over several: good cells have 0.5 to 0.75, wrong ones more. Said above that, of
 * a cell in doubt, and where nothing else is.
 */
const BLURRED = 0.8;
const IN_DOUBT = 0.1;
/** What is said of a cell without a reason. */
export const NO_DOUBT = "no doubt stands out";

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** Why a cell is uncertain, strongest first; empty when nothing stands out. */
export function doubts(evidence: Evidence): string[] {
  const found: { weight: number; text: string }[] = [];
  const { existence = 0, inside = 0, border = 0, flow = 0, edge = 0 } = evidence.terms;
  const { type = 0, views = 0 } = evidence.terms;
  if (evidence.seenBy === "detector" || evidence.seenBy === "segmenter") {
    found.push({
      weight: Math.max(existence, NOTABLE),
      text: `only the ${evidence.seenBy} sees it`,
    });
  } else if (existence >= NOTABLE) {
    const text = `only ${percent(evidence.score)} likely to be a cell`;
    found.push({ weight: existence, text });
  }
  if (inside >= NOTABLE) {
    const text = `the segmenter sees little of a cell in it (${percent(1 - inside)})`;
    found.push({ weight: inside, text });
  }
  if (border >= NOTABLE) found.push({ weight: border, text: "the models disagree on the border" });
  if (flow >= NOTABLE) found.push({ weight: flow, text: "its outline does not fit what was seen" });
  if (type >= NOTABLE) found.push({ weight: type, text: typeDoubt(evidence.probabilities) });
  if (views >= NOTABLE) found.push({ weight: views, text: "mirrored, it looks of another type" });
  if (found.length === 0 && edge >= BLURRED && evidence.uncertainty >= IN_DOUBT) {
    found.push({ weight: edge, text: "its border is not sharp" });
  }
  return found.sort((a, b) => b.weight - a.weight).map(({ text }) => text);
}

function typeDoubt(probabilities: Readonly<Record<string, number>>): string {
  const ranked = rankedTypes(probabilities).slice(0, 2);
  if (ranked.length < 2) return "the type is uncertain";
  return ranked.map(([name, share]) => `${percent(share)} ${name}`).join(" / ");
}

export function rankedTypes(probabilities: Readonly<Record<string, number>>): [string, number][] {
  return Object.entries(probabilities).sort((a, b) => b[1] - a[1]);
}
