"""Members of data sets and their roles."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction

from annotator.exceptions import BadInput, Conflict, NotHere
from annotator.models import Dataset, Membership, QueueItem, Role


def user_by_name(username: str) -> User:
    """The active user called ``username``; BadInput when there is none."""
    user: User | None = get_user_model().objects.filter(username=username, is_active=True).first()
    if user is None:
        raise BadInput(
            f"There is no user {username}; an administrator can add one.",
            fields={"username": ["Unknown user."]},
        )
    return user


@transaction.atomic
def member_set(*, dataset: Dataset, username: str, role: str) -> Membership:
    """Invite a user, or change a member's role.

    Raises:
        BadInput: no such user or role.
        Conflict: the data set would be left without a manager.
    """
    if role not in Role.values:
        raise BadInput(f"The role {role} is unknown; use {', '.join(Role.values)}.")
    user = user_by_name(username)
    if role != Role.MANAGER:
        _keep_a_manager(dataset, user)
    membership, _ = Membership.objects.update_or_create(
        dataset=dataset, user=user, defaults={"role": role}
    )
    if role == Role.VIEWER:
        _free_leases(dataset, user)
    return membership


@transaction.atomic
def member_remove(*, dataset: Dataset, username: str) -> None:
    """Take a member out. NotHere when there is none; Conflict for the last manager."""
    membership = Membership.objects.filter(dataset=dataset, user__username=username).first()
    if membership is None:
        raise NotHere(f"{username} is no member of this data set.")
    _keep_a_manager(dataset, membership.user)
    membership.delete()
    _free_leases(dataset, membership.user)


def _free_leases(dataset: Dataset, user: User) -> None:
    """Who may not correct any more must not keep images from those who may."""
    QueueItem.objects.filter(image__dataset=dataset, annotator=user, closed_at__isnull=True).update(
        annotator=None, leased_until=None
    )


def _keep_a_manager(dataset: Dataset, leaving: User) -> None:
    # Locked, so that two managers cannot demote each other at the same moment.
    managers = Membership.objects.select_for_update().filter(dataset=dataset, role=Role.MANAGER)
    if {membership.user_id for membership in managers} == {leaving.pk}:
        raise Conflict("A data set keeps at least one manager; make somebody else manager first.")
