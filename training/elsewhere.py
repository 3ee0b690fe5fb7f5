"""Train an unzipped bundle on a machine that knows nothing of the server it came from.

``train.py`` of a bundle calls ``main``. The run folder holds a checkpoint after each epoch, so the
same command after an interruption goes on from the last one.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inference import checkpoint
from inference.builtin import licence_of
from inference.devices import is_there, pick_device
from inference.errors import InferenceError
from inference.files import told_when_full
from training import sealed
from training.config import TrainConfig, portable
from training.errors import TrainingError
from training.kept import METRICS
from training.train import EpochReport, TrainResult, train

SNAPSHOT, BASE = "snapshot", "base"  # folders of a bundle
SUFFIX = ".cytoloop-model.zip"
INTERRUPTED = 130  # a shell's exit status after Ctrl+C, and ours after SIGTERM


def main(bundle: Path, arguments: Sequence[str] | None = None) -> int:
    """Train ``bundle`` as the command line says; the exit status, what failed said on stderr."""
    asked = _parser().parse_args(arguments)
    try:
        with _stopped_by_sigterm(), told_when_full(asked.run or bundle):
            result, out = _trained(bundle, asked)
    except (TrainingError, InferenceError) as error:
        print(error.message, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; what was trained is kept. The same command goes on.", file=sys.stderr)
        return INTERRUPTED
    _say(f"The best epoch was {result.best_epoch}. Import this file: {out}")
    return 0


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Whoever takes the machine back says so by SIGTERM first: it counts as Ctrl+C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _trained(bundle: Path, asked: argparse.Namespace) -> tuple[TrainResult, Path]:
    """The finished run, and where the model that it made lies packed."""
    if not is_there(asked.device):
        raise TrainingError(f"There is no device {asked.device}; use cpu, cuda or mps.")
    manifest = sealed.check_folder(bundle)
    config = chosen_config(manifest, vars(asked))
    _say(
        f"{manifest['family']} of {manifest['dataset']} on {pick_device(config.device).type};"
        " each epoch will have a line here. After an interruption the same command goes on."
    )
    run = asked.run or bundle / "run"
    base = bundle / BASE if (bundle / BASE).is_dir() else None
    licence = "" if base else licence_of(config.start)
    if licence:
        _say(f"Starts from {config.start}. {licence}")
    result = train(config, bundle / SNAPSHOT, run, base, on_epoch=_tell)
    out = asked.out or bundle / f"{manifest['dataset']}-{manifest['family']}{SUFFIX}"
    pack(result, manifest, out)
    return result, out


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="train.py", description="Train this bundle; run again, it goes on where it stopped."
    )
    parser.add_argument("--epochs", type=int, help="instead of what the bundle says")
    parser.add_argument("--minutes", type=float, help="wall time, instead of what the bundle says")
    parser.add_argument("--device", default="", help="cpu, cuda, mps; default: a GPU if there is")
    parser.add_argument(
        "--run", type=Path, help="folder of checkpoints, e.g. on a drive that stays (default: run)"
    )
    parser.add_argument("--out", type=Path, help=f"the trained model (default: NAME{SUFFIX})")
    return parser


def chosen_config(manifest: Mapping[str, Any], asked: Mapping[str, Any]) -> TrainConfig:
    """The bundle's settled config, with the epochs, minutes and device that somebody asks for."""
    values = dict(manifest["config"])
    if asked.get("epochs") is not None:
        values |= {"epochs": asked["epochs"], "minutes": 0}
    if asked.get("minutes") is not None:
        values |= {"minutes": asked["minutes"]}
        if asked.get("epochs") is None:
            values["epochs"] = 0
    values["device"] = asked.get("device") or ""
    return TrainConfig.for_family(str(manifest["family"]), values)


def pack(result: TrainResult, bundle: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Write the trained model of a run as the one file that a server takes in; its manifest."""
    lineage = result.meta.lineage
    config = TrainConfig(**lineage["config"])
    facts = {
        "dataset": bundle["dataset"],
        "family": result.meta.family,
        "snapshot": lineage["snapshot"],
        "base": lineage["base"],
        "config": portable(asdict(config)),
    }
    names = (checkpoint.WEIGHTS, checkpoint.META, METRICS)
    files: dict[str, Path | bytes] = {name: result.folder / name for name in names}
    return sealed.seal(out, sealed.MODEL, files, json.loads(json.dumps(facts)))


def _tell(report: EpochReport) -> None:
    figures = "".join(f", {name} {value:.3f}" for name, value in report.metrics.items())
    _say(
        f"epoch {report.number('/')}: loss {report.train_loss:.4f}{figures},"
        f" {report.seconds:.0f} s, {report.seconds_left / 60:.1f} min left"
    )


def _say(line: str) -> None:
    print(line, flush=True)
