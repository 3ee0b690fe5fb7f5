"""Signing in: a session for browsers, a token for programs."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth import authenticate, login, logout
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect, ensure_csrf_cookie
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.authtoken.models import Token
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from annotator.api.access import user_of
from annotator.api.errors import body

View = Callable[..., HttpResponse]


class SignInThrottle(SimpleRateThrottle):
    """So many tries per address and minute, right or wrong."""

    scope = "sign_in"

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        if request.method != "POST":
            return None
        return self.cache_format % {"scope": self.scope, "ident": self.get_ident(request)}


def throttled(view: View) -> View:
    """A Django view that takes passwords, counted with the other ways to sign in."""

    @wraps(view)
    def counted(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        throttle = SignInThrottle()
        if throttle.allow_request(Request(request), APIView()):
            return view(request, *args, **kwargs)
        seconds = int(throttle.wait() or 0) + 1
        message = f"Too many tries to sign in. Try again in {seconds} seconds."
        return JsonResponse(
            body(message, "too_many_requests"), status=429, headers={"Retry-After": str(seconds)}
        )

    return counted


class Credentials(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=4096, trim_whitespace=False)


class MeOutput(serializers.Serializer[User]):
    id = serializers.IntegerField()
    username = serializers.CharField()
    is_admin = serializers.BooleanField(source="is_superuser")


def _signed_in(request: Request) -> User:
    """The user of the credentials in the body, or AuthenticationFailed."""
    sent = Credentials(data=request.data)
    sent.is_valid(raise_exception=True)
    user = authenticate(request, **sent.validated_data)
    if not isinstance(user, User):
        raise AuthenticationFailed("The name or the password is wrong.")
    return user


@method_decorator(ensure_csrf_cookie, name="dispatch")
class Me(APIView):
    """Who is signed in."""

    @extend_schema(responses=MeOutput)
    def get(self, request: Request) -> Response:
        """The caller; 401 when signed out. Sets the CSRF cookie either way."""
        return Response(MeOutput(user_of(request)).data)


# DRF exempts its views from CSRF and checks only signed-in sessions; a sign-in needs the check
# too, or another site could sign a visitor in as somebody else.
@method_decorator(csrf_protect, name="dispatch")
class Session(APIView):
    """The browser's session."""

    permission_classes = [AllowAny]
    authentication_classes: list[Any] = []
    throttle_classes = [SignInThrottle]

    @extend_schema(request=Credentials, responses=MeOutput)
    def post(self, request: Request) -> Response:
        """Sign in."""
        user = _signed_in(request)
        login(request._request, user)
        get_token(request._request)
        return Response(MeOutput(user).data)

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request) -> Response:
        """Sign out."""
        logout(request._request)
        return Response(status=204)


class TokenView(APIView):
    """A token for programs: ``Authorization: Token …``."""

    permission_classes = [AllowAny]
    authentication_classes: list[Any] = []
    throttle_classes = [SignInThrottle]

    @extend_schema(
        request=Credentials,
        responses=inline_serializer("TokenOutput", {"token": serializers.CharField()}),
    )
    def post(self, request: Request) -> Response:
        """The caller's token, made at the first call."""
        token, _ = Token.objects.get_or_create(user=_signed_in(request))
        return Response({"token": token.key})


urlpatterns = [
    path("me/", Me.as_view()),
    path("auth/session/", Session.as_view()),
    path("auth/token/", TokenView.as_view()),
]
