"""Who may touch what, in one file.

Strangers are told that nothing is there; members without the right are told what they lack.
"""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser, User
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request

from annotator.exceptions import NotAllowed, NotHere
from annotator.models import Dataset, Image, Membership, Role

LARGEST_ID = 2**63 - 1  # of the database's integers; it fails on larger ones
RANKS: dict[str, int] = {Role.VIEWER: 0, Role.ANNOTATOR: 1, Role.MANAGER: 2}
Caller = User | AnonymousUser


def user_of(request: Request) -> User:
    """The signed-in user, for views that let nobody else in."""
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user


def role_in(user: Caller, dataset_id: int) -> Role | None:
    """The user's role in a data set; superusers manage every one; None for strangers."""
    if user.is_superuser:
        return Role.MANAGER
    if not user.is_authenticated or dataset_id > LARGEST_ID:
        return None
    found = Membership.objects.filter(dataset_id=dataset_id, user=user).values_list("role")
    return Role(found[0][0]) if found else None


def require(user: Caller, dataset_id: int, role: Role, absent: str) -> None:
    """Let members of at least ``role`` pass.

    Raises:
        NotHere: the user is no member; says ``absent``.
        NotAllowed: a member of a lower role.
    """
    held = role_in(user, dataset_id)
    if held is None:
        raise NotHere(absent)
    if RANKS[held] < RANKS[role]:
        raise NotAllowed(
            f"This needs the role {role.value}; you are {held.value} of this data set. "
            "Ask one of its managers."
        )


def dataset_for(user: Caller, dataset_id: int, role: Role = Role.VIEWER) -> Dataset:
    """The data set, if ``user`` has at least ``role`` in it (NotHere, NotAllowed)."""
    absent = f"There is no data set {dataset_id}."
    require(user, dataset_id, role, absent)
    dataset = Dataset.objects.filter(pk=dataset_id).first()
    if dataset is None:
        raise NotHere(absent)
    return dataset


def image_for(user: Caller, image_id: int, role: Role = Role.VIEWER) -> Image:
    """The image with its data set, if ``user`` has at least ``role`` (NotHere, NotAllowed)."""
    absent = f"There is no image {image_id}."
    image = Image.objects.select_related("dataset").filter(pk=image_id).first()
    if image is None:
        raise NotHere(absent)
    require(user, image.dataset_id, role, absent)
    return image
