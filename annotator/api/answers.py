"""Answers about cells over REST: many of a list at once, or those that one is asked about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotator.api.access import LARGEST_ID, dataset_for, user_of
from annotator.exceptions import BadInput
from annotator.models import CellQuestion, Dataset, Image, Revision, Role, Verdict
from annotator.services.cells import Answer, Moved, Wanted, cells_change, cells_undo
from annotator.services.places import places_reopen
from annotator.services.questions import (
    asks_type,
    questions_answer,
    questions_next,
    questions_release,
    questions_reopen,
)

MOST_CELLS = 50_000  # in one change
MOST_IMAGES = 200
MOST_ASKED = 60  # cells in one batch
MOST_HELD = 5_000  # cells named by their ids: databases take no longer lists in a query

seconds_field = serializers.FloatField(
    required=False, allow_null=True, min_value=0, max_value=10**6, help_text="of work"
)


class ChangedCells(serializers.Serializer[Any]):
    """Cells of one image as it was listed."""

    image = serializers.IntegerField(min_value=1, max_value=LARGEST_ID)
    revision = serializers.IntegerField(min_value=0, max_value=2**31 - 1)
    prediction = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=LARGEST_ID
    )
    labels = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**32 - 1),
        min_length=1,
        max_length=MOST_CELLS,
    )


class ChangeInput(serializers.Serializer[Any]):
    verdict = serializers.ChoiceField(Verdict.choices)
    type = serializers.CharField(
        required=False,
        allow_null=True,
        max_length=40,
        help_text="that retyped cells get; null: none",
    )
    images = ChangedCells(  # type: ignore[call-arg]
        many=True, allow_empty=False, max_length=MOST_IMAGES
    )
    seconds_spent = seconds_field


class MadeRevision(serializers.Serializer[Revision]):
    id = serializers.IntegerField()
    image = serializers.IntegerField(source="image_id")
    revision = serializers.IntegerField(source="number")


class MovedImage(serializers.Serializer[Moved]):
    image = serializers.IntegerField(source="image.pk")
    message = serializers.CharField()


class ChangedOutput(serializers.Serializer[Any]):
    revisions = MadeRevision(many=True)
    unchanged = serializers.ListField(
        child=serializers.IntegerField(), help_text="images that were like this already"
    )
    moved = MovedImage(many=True, help_text="images that others changed meanwhile, left alone")


class UndoInput(serializers.Serializer[Any]):
    revisions = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=LARGEST_ID),
        allow_empty=False,
        max_length=MOST_IMAGES,
        help_text="ids that a change or answers gave",
    )
    cells = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=LARGEST_ID),
        required=False,
        default=list,
        max_length=MOST_HELD,
        help_text="those among them that one was asked about: one is asked again",
    )
    places = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=LARGEST_ID),
        required=False,
        default=list,
        max_length=MOST_HELD,
        help_text="places likewise",
    )


class NextInput(serializers.Serializer[Any]):
    count = serializers.IntegerField(min_value=1, max_value=MOST_ASKED, default=20)
    holding = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=LARGEST_ID),
        required=False,
        default=list,
        max_length=MOST_HELD,
        help_text="cells that the caller has at hand: their leases are renewed",
    )


class QuestionOutput(serializers.Serializer[CellQuestion]):
    """A cell that the caller is asked about, and why."""

    cell = serializers.IntegerField(source="cell_id")
    image = serializers.IntegerField(source="cell.prediction.image_id")
    name = serializers.CharField(source="cell.prediction.image.name")
    prediction = serializers.IntegerField(source="cell.prediction_id")
    label = serializers.IntegerField(source="cell.label")  # type: ignore[assignment]
    type = serializers.SerializerMethodField()
    asks_type = serializers.SerializerMethodField(
        help_text="false: the file name tells the type; only whether it is a cell, well drawn"
    )
    score = serializers.FloatField(source="cell.score")
    probabilities = serializers.DictField(
        source="cell.probabilities", child=serializers.FloatField()
    )
    uncertainty = serializers.FloatField(source="cell.uncertainty")
    terms = serializers.DictField(source="cell.terms", child=serializers.FloatField())
    seen_by = serializers.CharField(source="cell.seen_by")
    committee = serializers.SerializerMethodField(help_text="whether two models looked at it")

    def get_type(self, question: CellQuestion) -> str | None:
        """The likeliest type's name, or the culture's."""
        image = question.cell.prediction.image
        if not asks_type(image):
            return image.culture
        return question.cell.type.name if question.cell.type else None

    def get_asks_type(self, question: CellQuestion) -> bool:
        """Whether the type is asked for."""
        return asks_type(question.cell.prediction.image)

    def get_committee(self, question: CellQuestion) -> bool:
        """Whether a detector looked at the image too."""
        return question.cell.prediction.detector_id is not None


class QuestionsOutput(serializers.Serializer[Any]):
    questions = QuestionOutput(many=True)
    lease_minutes = serializers.IntegerField()


class AnswerInput(serializers.Serializer[Any]):
    cell = serializers.IntegerField(min_value=1, max_value=LARGEST_ID)
    verdict = serializers.ChoiceField(Verdict.choices)
    type = serializers.CharField(required=False, allow_null=True, max_length=40)


class AnswersInput(serializers.Serializer[Any]):
    answers = AnswerInput(  # type: ignore[call-arg]
        many=True, allow_empty=False, max_length=MOST_ASKED
    )
    seconds_spent = seconds_field


class AnsweredOutput(serializers.Serializer[Any]):
    revisions = MadeRevision(many=True)
    answered = serializers.ListField(child=serializers.IntegerField())
    refused = inline_serializer(
        "RefusedAnswer",
        {"cell": serializers.IntegerField(), "message": serializers.CharField()},
        many=True,
    )


class ReleaseInput(serializers.Serializer[Any]):
    cells = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=LARGEST_ID), max_length=MOST_HELD
    )


def checked(serializer: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    sent = serializer(data=request.data)
    sent.is_valid(raise_exception=True)
    return dict(sent.validated_data)


def answers_by(key: str, sent: Sequence[dict[str, Any]]) -> dict[int, Answer]:
    """Answers by what they are given to; BadInput where two are given to the same."""
    found = {each[key]: Answer(Verdict(each["verdict"]), each.get("type")) for each in sent}
    if len(found) < len(sent):
        raise BadInput(f"Each {key} may be answered once in a request.")
    return found


class CellsChange(APIView):
    """Changing many cells."""

    @extend_schema(request=ChangeInput, responses=ChangedOutput)
    def post(self, request: Request, pk: int) -> Response:
        """Accept, retype or reject cells; one revision per image.

        Only what surrounds these cells becomes complete, in training images.
        """
        dataset = dataset_for(request.user, pk, Role.ANNOTATOR)
        sent = checked(ChangeInput, request)
        done = cells_change(
            author=user_of(request),
            wanted=_wanted(dataset, sent),
            seconds=sent.get("seconds_spent"),
        )
        return Response(ChangedOutput(_changed_body(done)).data)


def _changed_body(done: Any) -> dict[str, Any]:
    return {
        "revisions": done.revisions,
        "unchanged": [image.pk for image in done.unchanged],
        "moved": done.moved,
    }


def _wanted(dataset: Dataset, sent: dict[str, Any]) -> list[Wanted]:
    groups = sent["images"]
    if sum(len(group["labels"]) for group in groups) > MOST_CELLS:
        raise BadInput(f"Change {MOST_CELLS} cells at most at once.")
    answer = Answer(Verdict(sent["verdict"]), sent.get("type"))
    images = (
        Image.objects.filter(dataset=dataset)
        .select_related("dataset", "culture_type")
        .in_bulk([group["image"] for group in groups])
    )
    if len(images) < len(groups):
        absent = next((each["image"] for each in groups if each["image"] not in images), None)
        raise BadInput(
            "Each image may come once." if absent is None else f"There is no image {absent} here."
        )
    return [
        Wanted(
            image=images[group["image"]],
            number=group["revision"],
            prediction=group.get("prediction"),
            answers=dict.fromkeys(group["labels"], answer),
        )
        for group in groups
    ]


class CellsUndo(APIView):
    """Taking back changes of cells."""

    @extend_schema(request=UndoInput, responses=ChangedOutput)
    def post(self, request: Request, pk: int) -> Response:
        """Undo a change or answers as a whole; images that others changed since stay.

        The revisions that it makes can be undone in turn.
        """
        dataset = dataset_for(request.user, pk, Role.ANNOTATOR)
        sent = checked(UndoInput, request)
        revisions = _revisions(dataset, sent["revisions"])
        author = user_of(request)
        done = cells_undo(author=author, revisions=revisions)
        undone = [revision.image_id for revision in done.revisions]
        questions_reopen(annotator=author, cells=sent["cells"], images=undone)
        places_reopen(annotator=author, places=sent["places"], images=undone)
        return Response(ChangedOutput(_changed_body(done)).data)


def _revisions(dataset: Dataset, ids: Sequence[int]) -> list[Revision]:
    found = (
        Revision.objects.filter(image__dataset=dataset)
        .select_related("image__dataset", "image__culture_type", "parent", "prediction__image")
        .in_bulk(ids)
    )
    absent = [pk for pk in ids if pk not in found]
    if absent:
        raise BadInput(f"There is no revision with the id {absent[0]} here.")
    # The newest first: of two changes of one image the later one is in the way of the earlier.
    return sorted(found.values(), key=lambda revision: -revision.pk)


class CellsNext(APIView):
    """Asking for cells."""

    @extend_schema(request=NextInput, responses=QuestionsOutput)
    def post(self, request: Request, pk: int) -> Response:
        """Lease the cells most worth an answer, each with its nearest neighbour; those held
        already come before others.

        409 while there is no model.
        """
        dataset = dataset_for(request.user, pk, Role.ANNOTATOR)
        sent = checked(NextInput, request)
        questions = questions_next(
            dataset=dataset,
            annotator=user_of(request),
            count=sent["count"],
            holding=sent["holding"],
        )
        body = {"questions": questions, "lease_minutes": dataset.lease_minutes}
        return Response(QuestionsOutput(body).data)


class CellsAnswer(APIView):
    """Answering."""

    @extend_schema(request=AnswersInput, responses=AnsweredOutput)
    def post(self, request: Request, pk: int) -> Response:
        """Answers to cells that one is asked about; the request may be repeated."""
        dataset = dataset_for(request.user, pk, Role.ANNOTATOR)
        sent = checked(AnswersInput, request)
        done = questions_answer(
            dataset=dataset,
            annotator=user_of(request),
            answers=answers_by("cell", sent["answers"]),
            seconds=sent.get("seconds_spent"),
        )
        refused = [{"cell": cell, "message": why} for cell, why in done.refused.items()]
        body = {"revisions": done.revisions, "answered": done.done, "refused": refused}
        return Response(AnsweredOutput(body).data)


class CellsRelease(APIView):
    """Giving back."""

    @extend_schema(request=ReleaseInput, responses={204: None})
    def post(self, request: Request, pk: int) -> Response:
        """Let others be asked about cells that one was asked about."""
        dataset = dataset_for(request.user, pk, Role.ANNOTATOR)
        questions_release(
            dataset=dataset,
            annotator=user_of(request),
            cells=checked(ReleaseInput, request)["cells"],
        )
        return Response(status=204)


urlpatterns = [
    path("datasets/<int:pk>/cells/change/", CellsChange.as_view()),
    path("datasets/<int:pk>/cells/undo/", CellsUndo.as_view()),
    path("datasets/<int:pk>/cells/next/", CellsNext.as_view()),
    path("datasets/<int:pk>/cells/answers/", CellsAnswer.as_view()),
    path("datasets/<int:pk>/cells/release/", CellsRelease.as_view()),
]
