"""Members of a data set over REST."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotator.api.access import dataset_for
from annotator.api.pagination import OldestFirst
from annotator.models import Role
from annotator.selectors.people import members_of
from annotator.services.people import member_remove, member_set


class MemberOutput(serializers.Serializer[Any]):
    username = serializers.CharField(source="user.username")
    role = serializers.ChoiceField(Role.choices)


class MemberInput(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    role = serializers.ChoiceField(Role.choices, default=Role.ANNOTATOR)


class MemberName(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)


class Members(APIView):
    """Who may see, annotate and manage a data set."""

    pagination_class = OldestFirst  # read by the schema

    @extend_schema(responses=MemberOutput(many=True))
    def get(self, request: Request, pk: int) -> Response:
        """In the order in which they joined."""
        pages = self.pagination_class()
        rows = members_of(dataset_for(request.user, pk))
        page = pages.paginate_queryset(rows, request, self) or []
        return pages.get_paginated_response(MemberOutput(page, many=True).data)

    @extend_schema(request=MemberInput, responses={201: MemberOutput})
    def post(self, request: Request, pk: int) -> Response:
        """Invite a user or change a member's role."""
        dataset = dataset_for(request.user, pk, Role.MANAGER)
        sent = MemberInput(data=request.data)
        sent.is_valid(raise_exception=True)
        membership = member_set(dataset=dataset, **sent.validated_data)
        return Response(MemberOutput(membership).data, status=201)

    @extend_schema(request=MemberName, responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Take a member out, named in the body or in ``?username=``."""
        dataset = dataset_for(request.user, pk, Role.MANAGER)
        sent = MemberName(data=request.data or request.query_params)
        sent.is_valid(raise_exception=True)
        member_remove(dataset=dataset, username=sent.validated_data["username"])
        return Response(status=204)


urlpatterns = [path("datasets/<int:pk>/members/", Members.as_view())]
