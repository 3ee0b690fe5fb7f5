"""Optuna's tables in the project's own database, reached by SQLAlchemy beside Django.

Why that is sound on SQLite, too: docs/decisions/0008-optuna-beside-django.md.
"""

from __future__ import annotations

import random
import time
from functools import cache
from typing import Any

from django.db import connection
from optuna.exceptions import OptunaError
from optuna.storages import RDBStorage
from sqlalchemy import URL, NullPool
from sqlalchemy.exc import SQLAlchemyError

from annotator.exceptions import Unavailable

# What Optuna, or the driver below it, raises when the database fails.
STUDY_ERRORS = (OptunaError, SQLAlchemyError)
_ATTEMPTS = 8
_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
# Of DATABASES' OPTIONS: those that are Django's own and would be refused by the driver.
_DJANGOS = {"pool", "isolation_level", "server_side_binding", "assume_role"}


def study_storage() -> RDBStorage:
    """Optuna's storage, its tables made when they are absent. Raises ``Unavailable``."""
    return _storage(str(connection.settings_dict["NAME"]))


@cache
def _storage(database: str) -> RDBStorage:
    url, options = _address(database)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            # No pool: trials last minutes, and a connection kept so long may be dead by then.
            return RDBStorage(url, {"connect_args": options, "poolclass": NullPool})
        except STUDY_ERRORS as error:
            # Two first workers make the same tables: one is refused, and finds them next time.
            if attempt == _ATTEMPTS:
                raise Unavailable(f"Optuna's tables cannot be used: {error}.") from error
            time.sleep(random.uniform(0.1, 0.5))
    raise AssertionError("unreachable")


def _address(database: str) -> tuple[str, dict[str, Any]]:
    """SQLAlchemy's URL of ``database`` on Django's server, and arguments for its driver."""
    given = connection.settings_dict
    if connection.vendor not in _DRIVERS:
        raise Unavailable(f"Searches need SQLite or Postgres, not {connection.vendor}.")
    url = URL.create(_DRIVERS[connection.vendor], database=database)
    if connection.vendor == "sqlite":
        # IMMEDIATE: a transaction that read before it writes would fail at once, not wait.
        return _escaped(url), {"timeout": 30, "isolation_level": "IMMEDIATE"}
    url = url.set(
        username=given["USER"] or None,
        password=given["PASSWORD"] or None,
        host=given["HOST"] or None,
        port=int(given["PORT"]) if given["PORT"] else None,
    )
    options = given.get("OPTIONS", {})
    return _escaped(url), {key: value for key, value in options.items() if key not in _DJANGOS}


def _escaped(url: URL) -> str:
    """The URL with the braces doubled that Optuna would take for a template."""
    return url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
