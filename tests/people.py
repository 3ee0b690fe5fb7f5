"""The people of the tests: alice owns, bob annotates, vera views, charlie is a stranger."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from annotator.models import Dataset, Membership, Role

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class People:
    """Users of one data set and one administrator of the site."""

    alice: User  # manager
    bob: User  # annotator
    vera: User  # viewer
    charlie: User  # no member
    root: User  # superuser, no member


def make_people(dataset: Dataset) -> People:
    """Alice, Bob and Vera join ``dataset``; Charlie does not."""
    users = get_user_model().objects
    people = People(
        alice=users.create_user("alice"),
        bob=users.create_user("bob"),
        vera=users.create_user("vera"),
        charlie=users.create_user("charlie"),
        root=users.create_superuser("root"),
    )
    roles = [(people.alice, Role.MANAGER), (people.bob, Role.ANNOTATOR), (people.vera, Role.VIEWER)]
    Membership.objects.bulk_create(
        Membership(dataset=dataset, user=user, role=role) for user, role in roles
    )
    return people


def client_of(user: User | None) -> APIClient:
    """A REST client signed in as ``user`` (None: signed out)."""
    client = APIClient()
    if user is not None:
        client.force_authenticate(user)
    return client
