/** An image as the editor has it open, for the tests of the editor. */
import type { PredictedCell, QueueItem } from "../../src/api/types";
import { sortedSample } from "../../src/core/intensity";
import type { Opened } from "../../src/ui/editor/opening";
import { picture } from "../core/drawing";

export const revision = (number: number) => ({
  revision: number,
  cells: [],
  complete_regions: null,
});

export const item = {
  id: 12,
  seconds_left: 600,
  reasons: [],
  image: { id: 7, name: "mixed_b1_1.tif" },
} as unknown as QueueItem;

export function predictedCell(label: number, bbox: [number, number, number, number]) {
  const opinion = { score: 1, uncertainty: 0.5, probabilities: {}, terms: {}, seen_by: "both" };
  return [label, { label, type: "HEK", bbox, ...opinion } as unknown as PredictedCell] as const;
}

/** Two predicted cells on 5 × 1 pixels, or what `rows` draw; nobody has revised them. */
export function opened(over: Partial<Opened> = {}, rows = ["11.22"]): Opened {
  const raster = over.raster ?? { width: 5, height: 1, channels: [new Uint16Array(5)] };
  return {
    image: { id: 7, name: "mixed_b1_1.tif", culture: "mixed", pixel_size_um: null },
    dataset: { id: 1, name: "demo", types: [{ id: 1, name: "HEK", color: "#ff0000" }] },
    raster,
    samples: raster.channels.map(sortedSample),
    roles: ["nucleus"],
    doc: picture(rows, [[1, { type: "HEK", source: "model" }]]),
    evidence: new Map(),
    head: { annotation: revision(0), etag: '"0"' },
    prediction: { id: 3, cells: [] },
    predicted: [],
    model: null,
    ...over,
  } as unknown as Opened;
}
