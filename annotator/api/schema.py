"""What the OpenAPI document says of failures: each operation may end in the one shape of them."""

from __future__ import annotations

from typing import Any

NAME = "Failure"
STATUSES = ("400", "401", "403", "404", "default")


def declare_failures(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's hook: the shape of ``api.errors.body``, once, and at each operation."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})[NAME] = {
        "type": "object",
        "properties": {
            "message": {"type": "string", "description": "one sentence for people"},
            "code": {"type": "string", "description": "e.g. bad_input, not_allowed, conflict"},
            "fields": {
                "type": "object",
                "additionalProperties": {"type": "array", "items": {"type": "string"}},
                "description": "what is wrong with which field of the request",
            },
        },
        "required": ["message", "code"],
    }
    components.setdefault("responses", {})[NAME] = {
        "description": "Any failure; conflicts (409), a newer revision (412) and the like too.",
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{NAME}"}}},
    }
    for operations in result["paths"].values():
        for operation in operations.values():
            for status in STATUSES:
                operation["responses"].setdefault(
                    status, {"$ref": f"#/components/responses/{NAME}"}
                )
    return result
