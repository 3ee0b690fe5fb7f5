/** Rows as the API gives them, for the tests of the pages. */
import type {
  Dataset,
  DatasetCounts,
  Epoch,
  Evaluation,
  Metrics,
  ModelVersion,
  ParsedName,
  Run,
} from "../../src/api/types";

const AT = "2026-02-03T10:00:00Z";

export function dataset(counts: Partial<DatasetCounts> = {}, over: Partial<Dataset> = {}): Dataset {
  return {
    id: 1,
    name: "demo",
    description: "",
    channels: ["cytoplasm", "nucleus"],
    types: [{ id: 1, name: "HEK", index: 0, color: "#0ff" }],
    type_pattern: "{type}_{batch}_{field}",
    role: "manager",
    retrain_after_cells: 200,
    retrain_every_hours: null,
    auto_promote: true,
    type_margin: 0.05,
    lease_minutes: 30,
    asking: "image",
    strategy: "uncertainty",
    region_minutes: 3,
    gold_every: 0,
    repeat_every: 0,
    created_at: AT,
    counts: {
      images: 10,
      train: 7,
      validation: 1,
      test: 2,
      predicted: 8,
      pending: 0,
      annotated: 2,
      in_parts: 0,
      leased: 0,
      queued: 6,
      corrected_cells: 40,
      images_per_minute: 0,
      ...counts,
    },
    versions: { segmenter: "segmenter-2", detector: "detector-1" },
    ready: [],
    ...over,
  };
}

export function run(over: Partial<Run> = {}): Run {
  return {
    id: 5,
    dataset: 1,
    family: "segmenter",
    status: "training",
    reason: "asked for",
    message: "",
    requested_by: "alice",
    base: null,
    candidate: null,
    epoch: 3,
    epochs: 10,
    timed: false,
    seconds_left: 40,
    progress: null,
    created_at: AT,
    started_at: AT,
    finished_at: null,
    machine: null,
    epochs_log: [],
    ...over,
  };
}

export function epoch(number: number, over: Partial<Epoch> = {}): Epoch {
  return {
    epoch: number,
    train_loss: 1 / number,
    validation_loss: null,
    metrics: {},
    seconds: 2,
    waiting: null,
    ...over,
  };
}

export function evaluation(hash: string, created: string, metrics: Metrics): Evaluation {
  return { split: "test", images: 12, frozen_hash: hash, metrics, created_at: created };
}

export function version(number: number, evaluations: Evaluation[]): ModelVersion {
  return {
    id: number,
    version: `segmenter-${number}`,
    dataset: 1,
    family: "segmenter",
    number,
    stage: "candidate",
    parent: null,
    start: "scratch",
    taught_by: null,
    passed_gate: null,
    run: null,
    created_at: AT,
    promoted_at: null,
    meta: {},
    evaluations,
    fusions: [],
  };
}

export function parsed(name: string, over: Partial<ParsedName> = {}): ParsedName {
  return {
    name,
    type: "HEK",
    culture: "HEK",
    batch: "b1",
    well: null,
    field: "f1",
    split: "train",
    kind: "image",
    message: null,
    ...over,
  };
}
