"""How request bodies are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from annotator.exceptions import BadInput
from inference.strict import strict_json


class StrictJSONParser(JSONParser):
    """JSON that can be stored and sent back: see ``inference.strict``."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The body's value; ``ParseError`` for what is no JSON, ``BadInput`` for what cannot be
        used of it.
        """
        try:
            return strict_json(stream.read().decode())
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ParseError(f"The body is no JSON: {str(error)[:120]}.") from error
        except ValueError as error:
            why = str(error)[:120]
            raise BadInput(f"The body is no JSON that can be used: {why}.") from error
