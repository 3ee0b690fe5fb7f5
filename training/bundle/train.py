"""Train this bundle: ``python train.py``. After an interruption the same command goes on."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def run() -> int:
    """The exit status of the training."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this file also runs where no installer has asked
        print("Python 3.11 or newer is needed.", file=sys.stderr)
        return 1
    sys.path.insert(0, str(HERE))
    try:
        from training.elsewhere import main
    except ModuleNotFoundError as error:
        print(
            f"The package {error.name} is missing: pip install --no-deps -r requirements.txt",
            file=sys.stderr,
        )
        return 1
    return main(HERE)


if __name__ == "__main__":
    sys.exit(run())
