"""Make the object storage ready: creates the S3 bucket when it is absent."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotator import storage
from annotator.exceptions import CytoloopError


class Command(BaseCommand):
    """`manage.py storage_prepare`: safe to run at every start."""

    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(storage.prepare())
        except CytoloopError as error:
            raise CommandError(error.message) from error
