"""The ways in which what is asked next can be chosen."""

from __future__ import annotations

import inspect
from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from inference.strategies_novelty import EVERY


class StrategyOutput(serializers.Serializer[Any]):
    name = serializers.CharField()
    about = serializers.CharField(allow_blank=True, help_text="in a line, for people")


class Strategies(APIView):
    """What a data set's ``strategy`` may be."""

    pagination_class = None

    @extend_schema(responses=StrategyOutput(many=True))
    def get(self, request: Request) -> Response:
        """By name, each with the first line of its description."""
        return Response(
            [
                {"name": name, "about": (inspect.getdoc(strategy) or "").partition("\n")[0]}
                for name, strategy in sorted(EVERY.items())
            ]
        )


urlpatterns = [path("strategies/", Strategies.as_view())]
