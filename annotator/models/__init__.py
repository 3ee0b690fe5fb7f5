"""Rows of the loop, one module per stage. Fields, constraints and indexes; no I/O."""

from annotator.models.annotations import GALLERY, Cell, Revision, TypeSource
from annotator.models.datasets import Asking, CellType, Dataset
from annotator.models.drafts import Draft, Preference
from annotator.models.exports import Export, ExportStatus
from annotator.models.flags import Flag
from annotator.models.images import Image, Split
from annotator.models.people import Membership, Role
from annotator.models.predictions import (
    CellQuestion,
    PlaceQuestion,
    PredictedCell,
    Prediction,
    PredictionAttempt,
    Verdict,
)
from annotator.models.queue import Check, Kind, Outcome, QueueItem
from annotator.models.runs import (
    Evaluation,
    Family,
    Fusion,
    ModelVersion,
    RunEpoch,
    RunStatus,
    Snapshot,
    Stage,
    TrainingRun,
)
from annotator.models.searches import Search, SearchStatus, SearchTrial, TrialState

__all__ = [
    "GALLERY",
    "Asking",
    "Cell",
    "CellQuestion",
    "CellType",
    "Check",
    "Dataset",
    "Draft",
    "Evaluation",
    "Export",
    "ExportStatus",
    "Family",
    "Flag",
    "Fusion",
    "Image",
    "Kind",
    "Membership",
    "ModelVersion",
    "Outcome",
    "PlaceQuestion",
    "PredictedCell",
    "Prediction",
    "PredictionAttempt",
    "Preference",
    "QueueItem",
    "Revision",
    "Role",
    "RunEpoch",
    "RunStatus",
    "Search",
    "SearchStatus",
    "SearchTrial",
    "Snapshot",
    "Split",
    "Stage",
    "TrainingRun",
    "TrialState",
    "TypeSource",
    "Verdict",
]
