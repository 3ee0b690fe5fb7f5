"""Training elsewhere over REST: the bundle that leaves, and the trained model that comes back."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotator.api.access import dataset_for, user_of
from annotator.api.exports import ExportOutput
from annotator.api.runs import RunInput, RunOutput
from annotator.api.uploads import LimitedUploads
from annotator.models import Role
from annotator.services.arrivals import arrival_create
from annotator.services.bundles import BundleRequest, bundle_create


class Bundles(APIView):
    """Asking for bundles."""

    @extend_schema(request=RunInput, responses={202: ExportOutput})
    def post(self, request: Request) -> Response:
        """Queue a training bundle, watched and downloaded as an export. 409 without material."""
        sent = RunInput(data=request.data)
        sent.is_valid(raise_exception=True)
        asked = sent.validated_data
        wanted = BundleRequest(
            dataset=dataset_for(request.user, asked["dataset"], Role.MANAGER),
            family=asked["family"],
            base=asked["base"],
            config={key: asked[key] for key in ("epochs", "minutes") if key in asked},
        )
        export = bundle_create(request=wanted, requested_by=user_of(request))
        answer = ExportOutput(export).data
        return Response(answer, status=202, headers={"Location": answer["url"]})


class TrainedModelInput(serializers.Serializer[Any]):
    file = serializers.FileField(help_text="the .cytoloop-model.zip that a bundle's train.py wrote")


class TrainedModels(LimitedUploads, APIView):
    """Models that come back."""

    parser_classes = (MultiPartParser,)

    @extend_schema(request=TrainedModelInput, responses={202: RunOutput})
    def post(self, request: Request, pk: int) -> Response:
        """Check a model that was trained elsewhere and queue the run that takes it in.

        400 says what is wrong with the file; 409 while a run of its family is live, or when the
        model is here already.
        """
        dataset = dataset_for(request.user, pk, Role.MANAGER)
        sent = TrainedModelInput(data=request.data)
        sent.is_valid(raise_exception=True)
        upload: UploadedFile = sent.validated_data["file"]
        with tempfile.TemporaryDirectory(prefix="upload-") as temporary:
            # Its own name is for refusals only: it may be longer than this disk takes.
            file = Path(temporary) / "the-file-that-was-sent.zip"
            name = Path(str(upload.name)).name[-100:] or "The file"
            with file.open("wb") as out:
                for chunk in upload.chunks():
                    out.write(chunk)
            run = arrival_create(
                dataset=dataset, file=file, name=name, requested_by=user_of(request)
            )
        answer = RunOutput(run).data
        return Response(
            answer, status=202, headers={"Location": f"/api/v1/training-runs/{run.pk}/"}
        )


urlpatterns = [
    path("training-bundles/", Bundles.as_view()),
    path("datasets/<int:pk>/trained-models/", TrainedModels.as_view()),
]
