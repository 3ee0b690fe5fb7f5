"""Every error a person can meet, as one tree.

CytoloopError
├── BadInput            400   what the caller gave cannot be used
│   ├── UnreadableImage       a file is no image we can read, or is damaged
│   ├── UnusableLabels        a label image does not fit its image or is malformed
│   ├── UnreadableModel       a checkpoint is not one of ours and not a cellpose U-Net
│   └── TooLarge        413   more bytes than this server accepts
├── NotAllowed          403   a member without the right
├── NotHere             404   absent, or none of the caller's business
├── Conflict            409   the state forbids it (lease held, run already over)
│   ├── HoldsAnother          who asks for an image has one of the queue already
│   ├── StaleRevision   412   somebody saved a newer revision
│   └── NoBaseRevision  428   a write that does not say what it began with
├── Unavailable         503   storage, broker or a download cannot be reached
└── NotReady            409   something must happen first (no model, no images)
"""

from __future__ import annotations


class CytoloopError(Exception):
    """Base of all errors shown to people: one sentence saying what is wrong and what to do."""

    status = 500
    code = "error"

    def __init__(self, message: str, *, fields: dict[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields or {}


class BadInput(CytoloopError):
    """What the caller gave cannot be used."""

    status = 400
    code = "bad_input"


class UnreadableImage(BadInput):
    """A file is no image we can read, or is damaged."""

    code = "unreadable_image"


class UnusableLabels(BadInput):
    """A label image does not fit its image or is malformed."""

    code = "unusable_labels"


class UnreadableModel(BadInput):
    """A checkpoint is not one of ours and not a cellpose U-Net."""

    code = "unreadable_model"


class TooLarge(BadInput):
    """More bytes than this server accepts."""

    status = 413
    code = "too_large"


class NotAllowed(CytoloopError):
    """A member without the right."""

    status = 403
    code = "not_allowed"


class NotHere(CytoloopError):
    """Absent, or none of the caller's business."""

    status = 404
    code = "not_found"


class Conflict(CytoloopError):
    """The state forbids it."""

    status = 409
    code = "conflict"


class HoldsAnother(Conflict):
    """Who asks for an image of the queue holds another one."""

    code = "holds_another"


class NotReady(Conflict):
    """Something must happen first: a model, images, annotations."""

    code = "not_ready"


class StaleRevision(Conflict):
    """Somebody saved a newer revision since the caller read it."""

    status = 412
    code = "stale_revision"


class NoBaseRevision(Conflict):
    """A write that does not say which revision it began with."""

    status = 428
    code = "precondition_required"


class Unavailable(CytoloopError):
    """Storage, the broker or a download cannot be reached."""

    status = 503
    code = "unavailable"
