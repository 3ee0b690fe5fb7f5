/** What the REST API (v1) says, as types. Field names are the API's own. */

export type Family = "segmenter" | "detector";
export type Split = "train" | "validation" | "test";
export type Role = "viewer" | "annotator" | "manager";
export type Stage = "candidate" | "current" | "retired";
export type ImageStatus = "new" | "predicted" | "leased" | "annotated";
export type RunStatus =
  "queued" | "preparing" | "training" | "evaluating" | "done" | "failed" | "cancelled";
export type Box = [x0: number, y0: number, x1: number, y1: number];

export interface Page<T> {
  next: string | null;
  previous: string | null;
  results: T[];
}

export interface Me {
  id: number;
  username: string;
  is_admin: boolean;
}

export interface CellType {
  id: number;
  name: string;
  index: number;
  color: string;
}

export interface DatasetCounts {
  images: number;
  train: number;
  validation: number;
  test: number;
  predicted: number;
  pending: number;
  annotated: number;
  leased: number;
  queued: number;
  corrected_cells: number;
}

export interface Dataset {
  id: number;
  name: string;
  description: string;
  channels: string[];
  types: CellType[];
  type_pattern: string;
  role: Role;
  retrain_after_cells: number;
  retrain_every_hours: number | null;
  auto_promote: boolean;
  lease_minutes: number;
  created_at: string;
  counts: DatasetCounts;
  versions: Record<Family, string | null>;
}

export interface NewDataset {
  name: string;
  channels: string[];
  types: string[];
  type_pattern: string;
}

export type DatasetSettings = Partial<
  Pick<
    Dataset,
    | "description"
    | "type_pattern"
    | "retrain_after_cells"
    | "retrain_every_hours"
    | "auto_promote"
    | "lease_minutes"
  >
>;

export interface Member {
  username: string;
  role: Role;
}

export interface ParsedName {
  name: string;
  type: string | null;
  culture: string | null;
  batch: string | null;
  well: string | null;
  field: string | null;
  split: Split | null;
  kind: "image" | "labels" | "types" | "ignored";
  message: string | null;
}

export interface ImageItem {
  id: number;
  name: string;
  split: Split;
  culture: string;
  batch: string;
  well: string;
  field: string;
  width: number;
  height: number;
  channel_count: number;
  dtype: string;
  pixel_size_um: number | null;
  status: ImageStatus;
  cells: number | null;
  uncertainty: number | null;
  revision: number;
  created_at: string;
  thumbnail: string;
}

export interface ImageDetail extends ImageItem {
  channels: string[];
  dataset: number;
}

export interface ImportReport {
  imported: { id: number; name: string }[];
  duplicates: { file: string; image: number }[];
  revisions: number;
  failed: { file: string; message: string }[];
  /** What the person should know about files that were taken, e.g. a type that is unknown. */
  notes: string[];
}

export interface Reason {
  code: string;
  text: string;
  value: number | null;
}

export interface PredictedCell {
  label: number;
  type: string | null;
  score: number;
  probabilities: Record<string, number>;
  uncertainty: number;
  terms: Record<string, number>;
  seen_by: "both" | "segmenter" | "detector";
  bbox: Box;
  area: number;
  centroid: [number, number];
}

export interface Prediction {
  id: number;
  segmenter: string;
  detector: string | null;
  uncertainty: number;
  reasons: Reason[];
  diameter: number;
  created_at: string;
  cells: PredictedCell[];
}

export interface AnnotatedCell {
  label: number;
  type: string | null;
  type_source: "human" | "file_name" | "model" | "";
  bbox: Box;
  area: number;
  centroid: [number, number];
}

export interface Annotation {
  revision: number;
  parent: number | null;
  author: string | null;
  source: string;
  complete_regions: Box[] | null;
  created_at: string | null;
  cells: AnnotatedCell[];
}

export interface QueueItem {
  id: number;
  image: ImageItem;
  score: number;
  reasons: Reason[];
  annotator: string | null;
  leased_until: string | null;
  seconds_left: number | null;
  etag: string;
}

export interface Epoch {
  epoch: number;
  train_loss: number;
  validation_loss: number | null;
  metrics: Record<string, number | null>;
  seconds: number;
}

export interface Run {
  id: number;
  dataset: number;
  family: Family;
  status: RunStatus;
  reason: string;
  message: string;
  requested_by: string | null;
  base: string | null;
  candidate: string | null;
  epoch: number;
  epochs: number;
  seconds_left: number | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  epochs_log: Epoch[];
}

export interface NewRun {
  dataset: number;
  family: Family;
  base?: string | null;
  epochs?: number;
  minutes?: number;
}

export interface Metrics {
  ap50?: number | null;
  ap75?: number | null;
  ap90?: number | null;
  pq?: number | null;
  aji?: number | null;
  map?: number | null;
  count_error?: number | null;
  type_accuracy?: number | null;
  type_accuracy_mixed?: number | null;
}

export interface Evaluation {
  split: Split;
  images: number;
  frozen_hash: string;
  metrics: Metrics;
  created_at: string;
}

export interface ModelVersion {
  id: number;
  version: string;
  dataset: number;
  family: Family;
  number: number;
  stage: Stage;
  parent: string | null;
  run: number | null;
  created_at: string;
  promoted_at: string | null;
  meta: Record<string, unknown>;
  evaluations: Evaluation[];
}

export interface TypeShare {
  name: string;
  color: string;
  cells: number;
  share: number;
  low: number;
  high: number;
}

export interface Composition {
  images: number;
  cells: number;
  untyped: number;
  types: TypeShare[];
}

export interface CurvePoint {
  version: string;
  family: Family;
  created_at: string;
  annotated_cells: number;
  images: number;
  ap50: number | null;
  type_accuracy?: number | null;
}

export type ExportFormat = "coco" | "cellpose" | "csv";
export type ExportSource = "revisions" | "predictions";

export interface NewExport {
  dataset: number;
  format: ExportFormat;
  source: ExportSource;
  split?: Split;
}

export interface Export {
  id: number;
  status: string;
  url: string;
  download: string | null;
  message: string;
  images: number;
  cells: number;
}
