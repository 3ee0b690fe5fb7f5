"""Predicting what has no prediction of the current models yet."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import DatabaseError
from django.utils import timezone
from numpy.typing import NDArray

from annotator import storage
from annotator.exceptions import CytoloopError, NotHere, NotReady, Unavailable
from annotator.models import Dataset, Image
from annotator.selectors.predictions import pending_images
from annotator.selectors.versions import Pair, current_pair
from annotator.services.images import image_array
from annotator.services.predictions import (
    PredictionObjects,
    prediction_begin,
    prediction_failed,
    prediction_give_back,
    prediction_go_on,
    prediction_put,
    prediction_store,
)
from annotator.services.queue import queue_refresh
from annotator.services.versions import version_folder
from annotator.work.fusing import pair_rule
from annotator.work.shutdown import leaving, long_work
from inference.errors import InferenceError
from inference.fusion_rule import FusionRule
from inference.predictor import ImagePrediction, Predictor, load_predictor
from training.errors import Cancelled

log = logging.getLogger(__name__)

Predict = Callable[[NDArray[Any]], ImagePrediction]
_CHUNK = 8  # images between looks at the current pair and refreshes of the queue


@dataclass
class Predicted:
    """What one call of ``predict_pending`` did."""

    images: int = 0
    cells: int = 0
    failed: int = 0
    seconds: float = 0.0
    more: bool = False  # stopped before everything was predicted
    tried: set[int] = field(default_factory=set)  # ids of images, failed ones included


def predict_pending(
    *,
    dataset: Dataset,
    split: str = "",
    seconds: float = math.inf,
    retry: bool = False,
    on_image: Callable[[Image], None] | None = None,
) -> Predicted:
    """Predict the images that lack the current pair, those annotators wait for first.

    Stops after ``seconds`` or when the worker is told to leave; a pair promoted meanwhile takes
    over at once. ``retry`` does not wait with images that failed lately. Raises ``NotReady``
    when there is no segmenter, ``InferenceError`` or ``Unavailable`` when a model cannot be
    loaded.
    """
    began = time.monotonic()
    done = Predicted()
    with long_work(), _Line(done, on_image) as line:
        try:
            while not done.more:
                pair = _pair(dataset)
                chunk = _next(dataset, pair, split, retry, done.tried)
                if not chunk:
                    break
                predictor = _loaded(pair)
                rule = pair_rule(pair, predictor)
                for image, after in zip(chunk, [*chunk[1:], None], strict=True):
                    done.tried.add(image.pk)
                    if prediction_begin(image=image, pair=pair, retry=retry):
                        line.predict(_predict(predictor, rule, image), pair, image, after)
                    done.more = leaving() or time.monotonic() - began > seconds
                    if done.more:
                        break
                line.finish()
                queue_refresh(dataset=dataset)
        except Cancelled:  # told to leave in the midst of a fit or of a large image
            done.more = True
            line.finish()
    done.seconds = time.monotonic() - began
    return done


@dataclass(frozen=True)
class _Unstored:
    """A prediction whose arrays are on their way to storage."""

    image: Image
    pair: Pair
    result: ImagePrediction
    objects: Future[PredictionObjects]


class _Line:
    """While the networks work on an image, the next one is read and the last one's arrays are
    stored. At most three images are in memory. Rows are written by the calling thread alone.
    """

    def __init__(self, done: Predicted, on_image: Callable[[Image], None] | None) -> None:
        self._done = done
        self._on_image = on_image
        self._reading = ThreadPoolExecutor(1, "read")
        self._storing = ThreadPoolExecutor(1, "store")
        self._read: dict[int, Future[NDArray[Any]]] = {}
        self._unstored: _Unstored | None = None

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if self._unstored is not None:
                # Something went wrong with another image: this one is tried again by somebody.
                with suppress(DatabaseError):
                    prediction_give_back(image=self._unstored.image)
        finally:
            for pool in (self._reading, self._storing):
                pool.shutdown(cancel_futures=True)

    def predict(self, predict: Predict, pair: Pair, image: Image, after: Image | None) -> None:
        """Predict ``image``; ``after`` is likely to be the next."""
        array = self._array(image)
        self._read = {after.pk: self._array(after)} if after is not None else {}
        results: list[ImagePrediction] = []  # one, unless it fails
        with _given_back_on_interrupt(image), self._noted(image):
            results.append(predict(array.result()))
        try:
            self.finish()
        except BaseException:  # the last image's fault
            with suppress(DatabaseError):
                prediction_give_back(image=image)
            raise
        for result in results:
            objects = self._storing.submit(prediction_put, result)
            self._unstored = _Unstored(image, pair, result, objects)
        if not results and self._on_image:
            self._on_image(image)

    def finish(self) -> None:
        """Write the rows of what was predicted last."""
        last, self._unstored = self._unstored, None
        if last is None:
            return
        with _given_back_on_interrupt(last.image), self._noted(last.image):
            prediction_store(
                image=last.image,
                segmenter=last.pair.segmenter,
                detector=last.pair.detector,
                result=last.result,
                objects=last.objects.result(),
            )
            self._done.images += 1
            self._done.cells += len(last.result.cells)
        if self._on_image:
            self._on_image(last.image)

    def _array(self, image: Image) -> Future[NDArray[Any]]:
        return self._read.get(image.pk) or self._reading.submit(image_array, image)

    @contextmanager
    def _noted(self, image: Image) -> Iterator[None]:
        """What goes wrong with one image is written down and does not keep the others waiting."""
        try:
            yield
        except NotHere:
            return  # deleted while we were at it
        except Unavailable as error:
            _check_storage(image)
            _failed(image, error.message, self._done)
        except (CytoloopError, InferenceError) as error:
            _failed(image, error.message, self._done)
        except (DatabaseError, Cancelled):
            raise  # nothing could be written about it, or it is given back
        except Exception as error:  # torch, OpenCV and numba raise anything
            # The log has what is ours to mend.
            log.exception("predicting image %s (%s)", image.pk, image.name)
            _failed(image, f"{type(error).__name__}: {error}", self._done)


@contextmanager
def _given_back_on_interrupt(image: Image) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, SystemExit, Cancelled):
        prediction_give_back(image=image)
        raise


def _predict(predictor: Predictor, rule: FusionRule, image: Image) -> Predict:
    on_window = partial(_between_windows, image)
    # The name of a single-type culture's file tells the type: nobody is to be asked for it.
    known = image.culture_type_id is not None
    return partial(predictor.predict, rule=rule, on_window=on_window, type_known=known)


def _between_windows(image: Image) -> None:
    """Large images take longer than a claim, and than anybody waits for a worker to leave."""
    if leaving():
        raise Cancelled
    prediction_go_on(image=image)


def _pair(dataset: Dataset) -> Pair:
    pair = current_pair(dataset)
    if pair is None:
        raise NotReady(
            f"{dataset.name} has no segmenter yet: train one with model_train, or import a"
            " cellpose checkpoint with model_import."
        )
    return pair


def _next(dataset: Dataset, pair: Pair, split: str, retry: bool, tried: set[int]) -> list[Image]:
    """The next images, each at most once per call: one that fails must not come up for ever."""
    now = timezone.now() + (timedelta(days=365) if retry else timedelta(0))
    pending = pending_images(dataset, pair, now).exclude(pk__in=tried)
    if split:
        pending = pending.filter(split=split)
    return list(pending.select_related("dataset")[:_CHUNK])


def _loaded(pair: Pair) -> Predictor:
    """The pair's predictor; ``load_predictor`` keeps it for the life of the worker."""
    detector = version_folder(pair.detector) if pair.detector else None
    return load_predictor(version_folder(pair.segmenter), detector)


def _check_storage(image: Image) -> None:
    """Raise ``Unavailable`` when storage is down: that is no fault of ``image``, which waits."""
    try:
        storage.check()
    except Unavailable:
        prediction_give_back(image=image)
        raise


def _failed(image: Image, message: str, done: Predicted) -> None:
    log.warning("image %s (%s) was not predicted: %s", image.pk, image.name, message)
    prediction_failed(image=image, message=message)
    done.failed += 1
