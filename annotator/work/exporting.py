"""Working on an export: its files as one zip in storage."""

from __future__ import annotations

import logging
import tempfile
import zipfile
from pathlib import Path

from annotator import storage
from annotator.exceptions import CytoloopError
from annotator.models import Export, ExportStatus
from annotator.services.bundles import BUNDLE, bundle_requested, bundle_write
from annotator.services.exports import (
    Exported,
    ExportRequest,
    export_beat,
    export_claim,
    export_finish,
    export_release,
    export_write,
)
from annotator.services.runs import Order
from annotator.work.heart import Heart
from annotator.work.shutdown import leaving, long_work
from inference.errors import InferenceError
from training.errors import Cancelled, TrainingError

log = logging.getLogger(__name__)


class ExportHeart(Heart):
    """Beats for an export: packing and storing a large one take longer than anybody waits."""

    beats_for = "export"

    def __init__(self, export: Export) -> None:
        super().__init__(export.pk, "")
        self._tries = export.tries

    def beat(self) -> Order:
        held = export_beat(export_id=self.row_id, tries=self._tries)
        return Order.GO_ON if held else Order.LET_GO


def work_on_export(export_id: int) -> None:
    """Write a waiting export's zip; the row says how it ended. A second worker leaves at once.

    A worker that is told to stop leaves before the next image, and the export to another.
    """
    export = export_claim(export_id=export_id)
    if export is None:
        return
    failed = ""
    with long_work(), ExportHeart(export) as heart:
        try:
            written, key = _zipped(export, heart)
        except Cancelled:
            if leaving():
                export_release(export=export)
            return  # else another worker has it
        except (CytoloopError, InferenceError, TrainingError) as error:
            log.warning("export %s failed: %s", export.pk, error)
            failed = error.message
        except OSError as error:
            log.warning("export %s failed: %s", export.pk, error)
            # Without the path on this server that an OSError also names.
            failed = f"The export cannot be packed: {error.strerror or error}."
        except Exception as error:  # an export must never stay begun without a worker
            log.exception("export %s failed", export.pk)
            name = type(error).__name__
            failed = f"The export broke off ({name}); the worker's log says why."
    if failed:
        export_finish(export=export, status=ExportStatus.FAILED, message=failed)
        return
    found = {"key": key, "images": written.images, "cells": written.cells}
    export_finish(export=export, status=ExportStatus.DONE, message="", **found)


def _zipped(export: Export, heart: Heart) -> tuple[Exported, str]:
    with tempfile.TemporaryDirectory(prefix="export-") as temporary:
        packed = Path(temporary) / "export.zip"
        if export.format == BUNDLE:
            made = bundle_write(request=bundle_requested(export), out=packed, on_image=heart.check)
            written = Exported(made.images, made.cells, packed)
        else:
            written = _packed(export, packed, heart)
        heart.check()
        return written, storage.put(f"exports/{export.pk}.zip", packed)


def _packed(export: Export, packed: Path, heart: Heart) -> Exported:
    request = ExportRequest(export.dataset, export.format, export.source, export.split)
    folder = packed.with_name("export")
    written = export_write(request=request, out=folder, on_image=heart.check)
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            heart.check()
            archive.write(path, path.relative_to(folder))
    return written
