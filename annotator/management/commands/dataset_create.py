"""Make a data set."""

from __future__ import annotations

import json
import re
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from annotator.management.base import one_sentence
from annotator.services.datasets import DEFAULT_PATTERN, dataset_create
from annotator.services.people import user_by_name


def words(text: str) -> list[str]:
    """``a,b`` as ["a", "b"]."""
    return [word.strip() for word in text.split(",") if word.strip()]


class Command(BaseCommand):
    """``manage.py dataset_create NAME --channels cytoplasm,nucleus --types HEK,N2a``"""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        # argparse takes a word that begins with a dash for an option unless it looks like a
        # negative number; so does a list of channels whose first is ignored.
        parser._negative_number_matcher = re.compile(r"-,")
        parser.add_argument("name")
        parser.add_argument(
            "--channels",
            default="cytoplasm,nucleus",
            help="role of each channel in file order; - ignores one: -,cytoplasm,nucleus",
        )
        parser.add_argument("--types", default="", help="cell types, e.g. HEK,N2a")
        parser.add_argument(
            "--type-pattern", default=DEFAULT_PATTERN, help=f"default: {DEFAULT_PATTERN}"
        )
        parser.add_argument("--manager", help="user who manages it (default: site admins only)")
        parser.add_argument(
            "--auto-promote",
            action="store_true",
            help="let a later version that is not worse than the current one replace it by itself",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        with one_sentence():
            dataset = dataset_create(
                name=options["name"],
                channels=words(options["channels"]),
                types=words(options["types"]),
                type_pattern=options["type_pattern"],
                owner=user_by_name(options["manager"]) if options["manager"] else None,
                auto_promote=options["auto_promote"],
            )
        if options["json"]:
            types = list(dataset.types.values_list("name", flat=True))
            row = {"id": dataset.pk, "name": dataset.name, "channels": dataset.channels}
            self.stdout.write(json.dumps(row | {"types": types}))
        else:
            self.stdout.write(f"Made the data set {dataset.name}.")
