"""Fill an empty database with the demo data set and say where to sign in."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from annotator.management.base import one_sentence
from annotator.management.commands.images_import import files_of
from annotator.models import Dataset
from annotator.services.datasets import dataset_create
from annotator.services.imports import images_import
from training.synthetic import Layout, write_folder

NAME = "demo"
USER = "demo"
# A lab's start: a few hand-segmented images to train, validate and test on, most without masks.
# (folder, split, images of each kind, how many of each kind are masked)
PARTS = (
    ("train", "train", {"HEK": 19, "N2a": 19, "mixed": 8}, {"HEK": 4, "N2a": 4, "mixed": 2}),
    ("validation", "validation", {"HEK": 1, "N2a": 1, "mixed": 2}, None),
    ("test", "test", {"HEK": 2, "N2a": 2, "mixed": 6}, None),
)
# Stands in the data set's ``training`` until every image is imported. Once it is gone, nothing is
# imported again: an image that is missing then was deleted by somebody.
SEEDING = "seeding"
# Small networks and short runs: two CPU cores reach usable predictions in minutes.
TRAINING = {
    "bootstrap": True,
    "segmenter": {"minutes": 2.5, "width": 16},
    "detector": {"epochs": 18},
}


class Command(BaseCommand):
    """`manage.py demo_seed`: 60 synthetic images of HEK- and N2a-like cells, 24 with masks."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="port to print in the address")

    def handle(self, *args: Any, **options: Any) -> None:
        with one_sentence():
            dataset = Dataset.objects.filter(name=NAME, training__has_key=SEEDING).first()
            if dataset is None and not Dataset.objects.exists():
                dataset = _begun()
            if dataset is not None:
                self._fill(dataset)
        self.stdout.write(_greeting(options["port"]))

    def _fill(self, dataset: Dataset) -> None:
        """Import what is not there yet; a next start goes on when this one is cut off."""
        user: User = get_user_model().objects.filter(username=USER).first() or _demo_user()
        failed: list[tuple[str, str]] = []
        with tempfile.TemporaryDirectory() as folder:
            for seed, (part, split, counts, masked) in enumerate(PARTS):
                _write_part(Path(folder) / part, seed, counts, masked)
                report = images_import(
                    dataset=dataset,
                    files=files_of(Path(folder) / part),
                    uploaded_by=user,
                    split=split,
                )
                failed += report.failed
                self.stdout.write(f"{part}: {len(report.imported)} demo images imported.")
        for name, message in failed:
            self.stderr.write(f"{name}: {message}")
        if not failed:
            _finish(dataset)


def _begun() -> Dataset:
    """The empty demo data set with its settings and its manager: all of them, or nothing."""
    user: User = get_user_model().objects.filter(username=USER).first() or _demo_user()
    with transaction.atomic():
        dataset = dataset_create(
            name=NAME,
            channels=["cytoplasm", "nucleus"],
            types=["HEK", "N2a"],
            owner=user,
            auto_promote=True,
        )
        dataset.description = (
            "Synthetic HEK- and N2a-like cells. An admin can delete it under Admin."
        )
        dataset.training = TRAINING | {SEEDING: True}
        dataset.save(update_fields=["description", "training"])
    return dataset


@transaction.atomic
def _finish(dataset: Dataset) -> None:
    """Mark the demo as complete; what else was set meanwhile stays."""
    dataset = Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
    dataset.training.pop(SEEDING, None)
    dataset.save(update_fields=["training"])


def _write_part(
    folder: Path, seed: int, counts: dict[str, int], masked: dict[str, int] | None
) -> None:
    """Write one split's images, a batch per kind; ``masked`` None means all of them."""
    for kind, count in counts.items():
        limit = count if masked is None else masked[kind]
        layout = Layout(kinds=(kind,), batch_size=count, first_batch=seed + 1)
        write_folder(
            folder,
            count,
            # Seeds apart for every folder: no image of a test part resembles a training one.
            seed=1000 * seed + sorted(counts).index(kind),
            masked=lambda stem, limit=limit: int(stem.rsplit("_", 1)[1]) <= limit,  # type: ignore[misc]
            layout=layout,
        )


def _password_file() -> Path:
    return Path(settings.VAR_DIR) / "demo_password"


def _demo_user() -> Any:
    """A site admin with a password of this installation alone, readable by its owner only."""
    password = os.environ.get("DEMO_PASSWORD") or secrets.token_urlsafe(9)
    path = _password_file()
    path.touch(mode=0o600)
    path.write_text(password)
    return get_user_model().objects.create_superuser(USER, password=password)


def _greeting(port: int) -> str:
    host = os.environ.get("HOST", "127.0.0.1")
    lines = ["", f"  Cytoloop is at http://{host}:{port}/"]
    user = get_user_model().objects.filter(username=USER).first()
    path = _password_file()
    if user is not None and path.exists() and user.check_password(path.read_text()):
        lines.append(f"  Sign in as {USER} with the password {path.read_text()}")
    else:
        lines.append("  Sign in with your account (a new one: manage.py createsuperuser)")
    return "\n".join([*lines, "  Ctrl+C stops it.", ""])
