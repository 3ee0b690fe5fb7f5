/**
 * What the REST API (v1) says, as types. They come from the server's own OpenAPI document
 * (schema.d.ts, made by `npm run generate`), so a change there shows up here when types are
 * checked. Only what the document leaves open is said more narrowly.
 */
import type { components } from "./schema";

type Said = components["schemas"];
/** `T` with the properties of `More` in place of its own. */
type But<T, More> = Omit<T, keyof More> & More;

export type Family = Said["FamilyEnum"];
export type Split = Said["SplitEnum"];
export type Role = Said["RoleEnum"];
export type Stage = Said["StageEnum"];
export type ImageStatus = Said["ImageOutput"]["status"];
export type RunStatus = Said["RunOutput"]["status"];
/** Pixels, half-open. */
export type Box = [x0: number, y0: number, x1: number, y1: number];

/** One page of a list under a cursor. */
export interface Page<T> {
  next: string | null;
  previous: string | null;
  results: T[];
}

export type Me = Said["MeOutput"];

export type CellType = Said["TypeOutput"];
export type DatasetCounts = Said["Counts"];
export type Dataset = Said["DatasetOutput"];
export type NewDataset = Required<Said["DatasetInput"]>;
export type DatasetSettings = Omit<Said["PatchedDatasetChange"], "channels">;
/** With an id the type changes, without one it is added. */
export type TypeChange = Said["TypeInput"];
export type Member = Said["MemberOutput"];
export type ParsedName = Said["PreviewedName"];

export type ImageItem = Said["ImageOutput"];
export type ImageDetail = Said["ImageDetailOutput"];
export type Neighbours = Said["NeighboursOutput"];
export type ImportReport = Said["ImportOutput"];

export type Reason = Said["ReasonOutput"];
interface Placed {
  bbox: Box;
  centroid: [x: number, y: number];
}
export type PredictedCell = But<
  Said["PredictedCellOutput"],
  Placed & { seen_by: "both" | "segmenter" | "detector" }
>;
export type Prediction = But<Said["PredictionOutput"], { cells: PredictedCell[] }>;
export type AnnotatedCell = But<
  Said["CellOutput"],
  Placed & { type_source: "human" | "file_name" | "model" | "" }
>;
export type Annotation = But<
  Said["AnnotationOutput"],
  { complete_regions: Box[] | null; cells: AnnotatedCell[] }
>;
export type QueueItem = But<Said["QueueItemOutput"], { region: Box | null }>;
export type QueueFigures = Said["QueueFigures"];
export type Strategy = Said["StrategyOutput"];
export type Flag = Said["FlagOutput"];
export type DraftSaid = Said["DraftOutput"];
export type DraftRow = Said["DraftRowOutput"];

export type Epoch = But<Said["EpochOutput"], { metrics: Record<string, number | null> }>;
export type Run = But<Said["RunOutput"], { epochs_log: Epoch[] }>;
/** With the last lines of its log. */
export type RunDetail = Run & { log: string };
export type NewRun = Said["RunInput"];
export type Preflight = Said["PreflightOutput"];
export type Search = Said["SearchOutput"];
export type SearchDetail = Said["SearchDetail"];
export type SearchStatus = Search["status"];
export type Trial = Said["TrialOutput"];
export type Range = Said["RangeOutput"];
export type NewSearch = Said["SearchInput"];

/** The keys of `model_evaluate` that the pages show. */
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
  mono_mixed_gap?: number | null;
  macro_f1?: number | null;
  type_calibration_error?: number | null;
  per_type?: Record<string, Record<"ap50" | "precision" | "recall" | "f1", number | null>>;
  /** "true→predicted" → cells. */
  confusion?: Record<string, number>;
  missed?: Record<string, number>;
  extra?: Record<string, number>;
  per_batch?: {
    batch: string;
    images: number;
    type_accuracy_single: number;
    type_accuracy_mixed: number;
    mono_mixed_gap: number;
  }[];
}
export type Evaluation = But<Said["EvaluationOutput"], { metrics: Metrics }>;
export type ModelVersion = But<Said["VersionOutput"], { evaluations: Evaluation[] }>;

export type Fusion = Said["FusionOutput"];

export type GoldImage = Said["GoldOutput"];
export type Agreement = Said["AgreementOutput"];

export type Composition = Said["CompositionOutput"];
export type LearningCurve = Said["LearningCurveOutput"];
export type FamilyCurve = Said["FamilyCurveOutput"];
export type CurvePoint = Said["PointOutput"];
export type Fit = Said["FitOutput"];
/** A figure that versions are compared by as they learn. */
export type LearntFigure = Fit["figure"];
export type Work = Said["WorkOutput"];

export type ExportFormat = Said["ExportInput"]["format"];
export type ExportSource = Said["ExportInput"]["source"];
export type Export = Said["ExportOutput"];
export type NewExport = Pick<Said["ExportInput"], "dataset" | "format" | "source"> & {
  split?: Split;
};

export type Gallery = Said["GalleryOutput"];
export type GalleryImage = Said["GalleryImage"];
export type GallerySort = "image" | "uncertainty" | "type" | "outliers" | "nearest";
export type SeenBy = "both" | "segmenter" | "detector";
export type CellDetail = Said["CellDetailOutput"];
export type ChangedCells = Said["ChangedOutput"];
export type AnsweredCells = Said["AnsweredOutput"];
export type Question = Said["QuestionOutput"];
export type Place = Said["PlaceOutput"];
export type AnsweredPlaces = Said["AnsweredPlacesOutput"];
export type Verdict = Said["CellVerdictEnum"];
