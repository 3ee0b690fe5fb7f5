"""Fill an empty database with the demo data set and say where to sign in."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from annotator.models import Dataset, Membership, Role
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
# Small networks and short runs: two CPU cores reach usable predictions in minutes.
TRAINING = {
    "bootstrap": True,
    "segmenter": {"minutes": 2.0, "width": 16},
    "detector": {"minutes": 3.5},
}


class Command(BaseCommand):
    """`manage.py demo_seed`: 60 synthetic images of HEK- and N2a-like cells, 24 with masks."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="port to print in the address")

    def handle(self, *args: Any, **options: Any) -> None:
        if not Dataset.objects.exists():
            self._seed()
        self.stdout.write(_greeting(options["port"]))

    def _seed(self) -> None:
        user = get_user_model().objects.filter(username=USER).first() or _demo_user()
        call_command(
            "dataset_create",
            NAME,
            channels="cytoplasm,nucleus",
            types="HEK,N2a",
            stdout=self.stdout,
        )
        dataset = Dataset.objects.get(name=NAME)
        dataset.description = "Synthetic HEK- and N2a-like cells. Delete it when you have your own."
        dataset.training = TRAINING
        dataset.save(update_fields=["description", "training"])
        Membership.objects.get_or_create(
            dataset=dataset, user=user, defaults={"role": Role.MANAGER}
        )
        with tempfile.TemporaryDirectory() as folder:
            for seed, (part, split, counts, masked) in enumerate(PARTS):
                _write_part(Path(folder) / part, seed, counts, masked)
                call_command(
                    "images_import",
                    NAME,
                    str(Path(folder) / part),
                    split=split,
                    annotator=USER,
                    stdout=self.stdout,
                )


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
