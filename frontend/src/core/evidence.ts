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
/** Borders of good cells are not sharp either: said where nothing else is. */
const BLURRED = 0.5;

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
    found.push({ weight: existence, text: `may not be a cell (score ${percent(evidence.score)})` });
  }
  if (inside >= NOTABLE) {
    const text = `the segmenter sees little of a cell in it (${percent(1 - inside)})`;
    found.push({ weight: inside, text });
  }
  if (border >= NOTABLE) found.push({ weight: border, text: "the models disagree on the border" });
  if (flow >= NOTABLE) found.push({ weight: flow, text: "its outline does not fit what was seen" });
  if (type >= NOTABLE) found.push({ weight: type, text: typeDoubt(evidence.probabilities) });
  if (views >= NOTABLE) found.push({ weight: views, text: "mirrored, it looks of another type" });
  if (found.length === 0 && edge >= BLURRED) {
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
