"""`python -m tests.sizes`: no source file over 400 lines, no function over 40 lines."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40
ROOT = Path(__file__).resolve().parent.parent


def source_files() -> list[Path]:
    """Python, TypeScript and Svelte files of the project, generated ones left out."""
    listed = subprocess.run(
        [
            "git",
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "*.py",
            "*.ts",
            "*.svelte",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    generated = ("annotator/migrations/", "frontend/src/api/schema.d.ts")
    return [ROOT / name for name in listed if not name.startswith(generated)]


def long_functions(path: Path) -> Iterator[str]:
    """Functions of a Python file longer than allowed, docstring not counted."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0]
        start = node.lineno
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            start = (first.end_lineno or start) + 1
        lines = (node.end_lineno or start) - start + 1
        if lines > MAX_FUNCTION_LINES:
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {lines} lines"


def main() -> int:
    """Print what is too long; 1 when there is any."""
    found: list[str] = []
    for path in source_files():
        if not path.exists():
            continue
        lines = len(path.read_text().splitlines())
        if lines > MAX_FILE_LINES:
            found.append(f"{path.relative_to(ROOT)} has {lines} lines (at most {MAX_FILE_LINES})")
        if path.suffix == ".py":
            found += long_functions(path)
    print("\n".join(found) or f"sizes: {len(source_files())} files, none too long")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
