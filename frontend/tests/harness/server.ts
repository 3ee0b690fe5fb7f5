/** Answers the editor's requests with drawn cells. `window.harness` lets a test make trouble. */
import { strokeSpans } from "../../src/core/raster";
import { chance } from "../core/drawing";

interface Wanted {
  size: number;
  cells: number;
}

interface Trouble {
  /** The next submit meets this. */
  next?: "stale" | "offline" | "lease";
  submitted: { etag: string; document: unknown; bytes: number }[];
  revision: number;
}

declare global {
  interface Window {
    harness: Trouble;
  }
}

interface Drawing {
  labels: Uint16Array;
  pixels: Uint16Array;
  cells: { label: number; x: number; y: number; r: number; kind: string }[];
}

function draw({ size, cells }: Wanted): Drawing {
  const random = chance(42);
  const labels = new Uint16Array(size * size);
  const pixels = new Uint16Array(2 * size * size);
  const clip = { x0: 0, y0: 0, x1: size, y1: size };
  const made: Drawing["cells"] = [];
  const typical = (size / Math.sqrt(cells)) * 0.42;
  for (let label = 1; label <= cells; label++) {
    const kind = random() < 0.55 ? "HEK" : "N2a";
    const centre = { x: random() * size, y: random() * size };
    const angle = random() * Math.PI;
    const reach = kind === "HEK" ? typical * 0.3 : typical * 1.3;
    const r = typical * (kind === "HEK" ? 0.8 : 0.45) * (0.8 + 0.4 * random());
    const end = { x: centre.x + reach * Math.cos(angle), y: centre.y + reach * Math.sin(angle) };
    for (const { y, x0, x1 } of strokeSpans(centre, end, r, clip)) {
      for (let x = x0; x < x1; x++) if (labels[y * size + x] === 0) labels[y * size + x] = label;
    }
    made.push({ label, ...centre, r, kind });
  }
  paint({ labels, pixels, cells: made }, size, random);
  const alive = new Set(labels);
  return { labels, pixels, cells: made.filter(({ label }) => alive.has(label)) };
}

function paint({ labels, pixels, cells }: Drawing, size: number, random: () => number): void {
  const plane = size * size;
  for (let at = 0; at < plane; at++) {
    const light = 0.7 + 0.3 * ((at % size) / size);
    pixels[at] =
      (400 + random() * 250 + (labels[at] ? 2600 : 0) * light * (0.8 + 0.2 * random())) | 0;
    pixels[plane + at] = (300 + random() * 200) | 0;
  }
  for (const { x, y, r } of cells) {
    for (const span of strokeSpans({ x, y }, { x, y }, Math.max(1, r * 0.55), clipOf(size))) {
      for (let at = span.y * size + span.x0; at < span.y * size + span.x1; at++) {
        pixels[plane + at] = (3200 + random() * 900) | 0;
      }
    }
  }
}

const clipOf = (size: number) => ({ x0: 0, y0: 0, x1: size, y1: size });

const json = (value: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(value), { status, headers });

const raw = (values: Uint16Array, shape: number[], more: Record<string, string> = {}): Response =>
  new Response(new Uint8Array(values.buffer as ArrayBuffer), {
    headers: { "X-Shape": shape.join(","), "X-Dtype": "uint16", ...more },
  });

export function answerFrom(wanted: Wanted) {
  const drawing = draw(wanted);
  window.harness = { submitted: [], revision: 0 };
  return async (url: string, init?: RequestInit): Promise<Response> => {
    await new Promise((resolve) => setTimeout(resolve, 15));
    const path = url.replace(/^.*\/api\/v1\//, "").replace(/\?.*/, "");
    return answer(path, init, { ...wanted, drawing });
  };
}

function answer(
  path: string,
  init: RequestInit | undefined,
  { size, drawing }: { size: number; drawing: Drawing },
): Response {
  const { harness } = window;
  if (path.endsWith("submit/") || init?.method === "PUT") return submit(init);
  if (path === "datasets/1/") return json(dataset);
  if (path === "datasets/1/queue/next/") return json(item(size));
  if (path.endsWith("heartbeat/")) return json(item(size));
  if (path.startsWith("queue/")) return json({});
  if (path === "datasets/1/images/") return json({ next: null, results: [image(size)] });
  if (path === "images/7/") return json({ ...image(size), dataset: 1, channels: CHANNELS });
  if (path === "images/7/pixels/") {
    return raw(drawing.pixels, [2, size, size], { "X-Channels": CHANNELS.join(",") });
  }
  if (path === "images/7/prediction/") return json(prediction(drawing));
  if (path === "images/7/prediction/labels/") return raw(drawing.labels, [size, size]);
  if (path === "images/7/prediction/cell/") return cellUnder(drawing, size, init);
  if (path === "images/7/annotation/") {
    return json(annotation(0), 200, { ETag: `"${harness.revision}"` });
  }
  return json({ message: `The harness has no ${path}.`, code: "not_found" }, 404);
}

/** The drawn cell under a click, as the segmenter's flows would hold it. */
function cellUnder({ labels }: Drawing, size: number, init: RequestInit | undefined): Response {
  const { x, y } = JSON.parse(init?.body as string) as { x: number; y: number };
  const label = labels[y * size + x] ?? 0;
  if (label === 0) {
    const message = "The segmenter sees no cell there. Draw it with the brush or the polygon.";
    return json({ message, code: "not_here" }, 404);
  }
  const spans: [number, number, number][] = [];
  for (let row = 0; row < size; row++) {
    const line = labels.subarray(row * size, (row + 1) * size);
    const x0 = line.indexOf(label);
    if (x0 >= 0) spans.push([row, x0, line.lastIndexOf(label) + 1]);
  }
  return json({ spans });
}

function submit(init: RequestInit | undefined): Response {
  const { harness } = window;
  const trouble = harness.next;
  delete harness.next;
  if (trouble === "offline") throw new TypeError("Failed to fetch");
  if (trouble === "stale") {
    harness.revision++;
    const message = "HEK_b1_003.tif was saved by bob in the meantime (revision 1).";
    return json({ message, code: "stale_revision" }, 412);
  }
  if (trouble === "lease") {
    const message = "HEK_b1_003.tif is in the hands of bob; ask for the next image.";
    return json({ message, code: "conflict" }, 409);
  }
  const form = init?.body as FormData;
  harness.revision++;
  harness.submitted.push({
    etag: new Headers(init?.headers).get("If-Match") ?? "",
    document: JSON.parse(form.get("document") as string),
    bytes: (form.get("labels") as Blob).size,
  });
  return json({ annotation: annotation(harness.revision), ...annotation(harness.revision) });
}

const CHANNELS = ["cytoplasm", "nucleus"];

const dataset = {
  id: 1,
  name: "co-culture",
  channels: CHANNELS,
  role: "annotator",
  types: [
    { id: 1, name: "HEK", index: 0, color: "#ffb454" },
    { id: 2, name: "N2a", index: 1, color: "#c792ff" },
  ],
};

const image = (size: number) => ({
  id: 7,
  name: "mixed_b1_003.tif",
  split: "train",
  culture: "mixed",
  batch: "b1",
  well: "",
  field: "003",
  width: size,
  height: size,
  channel_count: 2,
  dtype: "uint16",
  pixel_size_um: 0.65,
  status: "leased",
  revision: 0,
});

const item = (size: number) => ({
  id: 12,
  image: image(size),
  score: 0.61,
  reasons: [
    { code: "disagreement", text: "the models disagree on 14 cells", value: 14 },
    { code: "types", text: "9 cells lie between HEK and N2a", value: 9 },
  ],
  annotator: "alice",
  leased_until: null,
  seconds_left: 1800,
  etag: '"0"',
});

const annotation = (revision: number) => ({
  revision,
  parent: null,
  author: "alice",
  source: "browser",
  complete_regions: null,
  created_at: null,
  cells: [],
});

function prediction({ cells }: Drawing) {
  const random = chance(7);
  return {
    id: 3,
    segmenter: "segmenter-1",
    detector: "detector-1",
    uncertainty: 0.61,
    reasons: [],
    diameter: 30,
    created_at: "2026-01-01T00:00:00Z",
    cells: cells.map(({ label, kind, x, y, r }) => {
      const sure = 0.5 + random() * 0.5;
      const share = kind === "HEK" ? sure : 1 - sure;
      return {
        label,
        type: random() < 0.06 ? null : kind,
        score: 0.4 + random() * 0.6,
        probabilities: { HEK: share, N2a: 1 - share },
        uncertainty: random(),
        terms: { existence: random() * 0.6, border: random(), type: 2 - 2 * sure },
        seen_by: random() < 0.85 ? "both" : "segmenter",
        bbox: [x - r, y - r, x + r, y + r],
        area: 100,
        centroid: [x, y],
      };
    }),
  };
}
