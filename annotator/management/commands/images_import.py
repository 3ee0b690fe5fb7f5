"""Import a folder of images with the masks and types beside them."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotator.exceptions import BadInput, TooLarge
from annotator.management.base import dataset_called, one_sentence
from annotator.models import Split
from annotator.naming import Kind, file_role
from annotator.services.imports import ImportFile, ImportReport, images_import
from annotator.services.people import user_by_name


class Command(BaseCommand):
    """``manage.py images_import NAME DIR [--split …] [--culture …] [--annotator USER]``"""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the data set")
        parser.add_argument("folder", type=Path, help="searched with all folders in it")
        parser.add_argument("--split", choices=Split.values, help="default: by group")
        parser.add_argument("--culture", help="a type or mixed; default: by file name")
        parser.add_argument("--annotator", help="user who becomes the author of the masks")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        with one_sentence():
            dataset = dataset_called(options["name"])
            folder: Path = options["folder"]
            if not folder.is_dir():
                raise BadInput(f"There is no folder {folder}.")
            files = files_of(folder)
            if not files:
                raise BadInput(f"{folder} holds no PNG, JPEG or TIFF images.")
            author = user_by_name(options["annotator"]) if options["annotator"] else None
            report = images_import(
                dataset=dataset,
                files=files,
                uploaded_by=author,
                split=options["split"],
                culture=options["culture"],
            )
        self._tell(report, as_json=options["json"])

    def _tell(self, report: ImportReport, *, as_json: bool) -> None:
        for name, message in report.failed:
            self.stderr.write(message if message.startswith(name) else f"{name}: {message}")
        for note in report.notes:
            self.stderr.write(note)
        counts = {
            "imported": len(report.imported),
            "duplicates": len(report.duplicates),
            "revisions": report.revisions,
        }
        if as_json:
            failed = [{"file": name, "message": message} for name, message in report.failed]
            self.stdout.write(json.dumps(counts | {"failed": failed, "notes": report.notes}))
        else:
            self.stdout.write(
                ", ".join(f"{count} {what}" for what, count in counts.items())
                + f", {len(report.failed)} failed."
            )
        if report.failed and not any(counts.values()):
            raise CommandError("Nothing could be imported.")


def _read(path: Path) -> bytes:
    """The bytes of a file that may be gone, locked or endless by now. Raises BadInput."""
    try:
        if path.stat().st_size > settings.UPLOAD_MAX_BYTES:
            megabytes = settings.UPLOAD_MAX_BYTES // 2**20
            raise TooLarge(f"{path.name} is larger than {megabytes} MB (UPLOAD_MAX_MB).")
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path.name} cannot be read: {error.strerror}.") from error


def _text(name: str) -> str:
    """A file's name as text; bytes that are none, from another system's encoding, become �."""
    return os.fsencode(name).decode(errors="replace")


def files_of(folder: Path) -> list[ImportFile]:
    """Images, masks and types in ``folder`` and below, by path; everything else is left alone."""
    return [
        ImportFile(
            name=_text(path.name),
            read=partial(_read, path),
            folder=""
            if path.parent == folder
            else _text(path.parent.relative_to(folder).as_posix()),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and file_role(path.name).kind is not Kind.IGNORED
    ]
