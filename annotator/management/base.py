"""What the commands of the loop share: the data set by name, errors as one sentence, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DataError, OperationalError, ProgrammingError

from annotator.exceptions import BadInput, CytoloopError, NotHere
from annotator.models import Dataset
from inference.errors import InferenceError
from training.errors import TrainingError

INTERRUPTED = 130  # a shell's exit status after Ctrl+C


@contextmanager
def one_sentence() -> Iterator[None]:
    """Make what goes wrong a CommandError: a sentence on stderr and an exit status of 1."""
    try:
        yield
    except (CytoloopError, InferenceError, TrainingError) as error:
        raise CommandError(error.message) from error
    except (DataError, UnicodeEncodeError) as error:
        raise CommandError(
            "A name or value is too long, too large, or holds a character that is no text."
        ) from error
    except (OperationalError, ProgrammingError) as error:
        raise CommandError(
            f"The database cannot be used ({error}); is it up, and was manage.py migrate run?"
        ) from error


def dataset_called(name: str) -> Dataset:
    """The data set called ``name``. Raises NotHere."""
    # Names are ASCII; what is no text at all could not even be asked for.
    dataset = Dataset.objects.filter(name=name).first() if name.isascii() else None
    if dataset is None:
        raise NotHere(f"There is no data set called {name}.")
    return dataset


def json_file(file: Path | None, content: str) -> dict[str, Any]:
    """The JSON object in ``file``; empty without one. Raises BadInput naming its ``content``."""
    if file is None:
        return {}
    try:
        found = json.loads(file.read_text())
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # no JSON, no text, or nested without end
        raise BadInput(f"{file} is no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise BadInput(f"{file} must hold one JSON object of {content}.")
    return found


class DatasetCommand(BaseCommand):
    """A command whose first argument is a data set.

    ``run`` returns the object that ``--json`` prints on the last line; without it, each of
    ``lines`` is printed. What the command tells on its way goes to stderr.
    """

    interrupted = "Stopped; what was finished until now is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the data set")
        self.add_more(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def add_more(self, parser: CommandParser) -> None:
        """The command's own arguments."""

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with one_sentence():
                result = self.run(dataset_called(options["name"]), options)
        except KeyboardInterrupt as stop:
            raise CommandError(self.interrupted, returncode=INTERRUPTED) from stop
        if options["json"]:
            self.stdout.write(json.dumps(result, default=str))
        else:
            for line in self.lines(result):
                self.stdout.write(line)

    def run(self, dataset: Dataset, options: dict[str, Any]) -> dict[str, Any]:
        """Do the work."""
        raise NotImplementedError

    def lines(self, result: dict[str, Any]) -> list[str]:
        """``result`` for people."""
        return [f"{key}: {value}" for key, value in result.items() if value is not None]

    def tell(self, line: str) -> None:
        """Say on stderr how far the work is."""
        self.stderr.write(self.style.NOTICE(line), ending="\n")
        self.stderr.flush()
