"""Django's admin. Rows that are a record of what happened are shown, not edited."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from annotator.exceptions import CytoloopError
from annotator.models import (
    CellType,
    Dataset,
    Evaluation,
    Export,
    Family,
    Image,
    Membership,
    ModelVersion,
    Prediction,
    PredictionAttempt,
    QueueItem,
    Revision,
    RunEpoch,
    Search,
    SearchTrial,
    Snapshot,
    TrainingRun,
)
from annotator.naming import check_pattern
from annotator.services.datasets import check_channels, check_types
from annotator.services.images import image_delete
from inference.strategies_novelty import EVERY
from training.config import TrainConfig
from training.errors import TrainingError

admin.site.site_header = admin.site.site_title = "Cytoloop"
admin.site.index_title = "Administration"


class Record(admin.ModelAdmin):
    """Shown and deleted, neither added nor edited: the loop writes these rows."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class DeletedByService(admin.ModelAdmin):
    """Deleted with the bytes that lie in object storage, and with all revisions."""

    def delete_whole(self, row: Any) -> None:
        """Delete ``row`` and its bytes."""
        raise NotImplementedError

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self._delete_after_commit(request, [obj])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._delete_after_commit(request, list(queryset))

    def _delete_after_commit(self, request: HttpRequest, rows: Iterable[Any]) -> None:
        # The admin deletes inside a transaction. Bytes that went before it was rolled back would
        # be missing for rows that stayed.
        def run() -> None:
            try:
                for row in rows:
                    self.delete_whole(row)
            except CytoloopError as error:
                self.message_user(
                    request, f"Not everything was deleted. {error.message}", messages.ERROR
                )

        transaction.on_commit(run)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        found, counts, lacking, protected = super().get_deleted_objects(objs, request)
        # Nobody may delete a revision alone; with its image it may go.
        return found, counts, set(lacking) - {Revision._meta.verbose_name}, protected


class RecordInline(admin.TabularInline):
    """Rows of a record, shown under it."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 1
    autocomplete_fields = ["user"]


@contextmanager
def as_form_error() -> Iterator[None]:
    """Show under the field what the services say."""
    try:
        yield
    except (CytoloopError, TrainingError) as error:
        raise forms.ValidationError(error.message) from error


class CellTypeForm(forms.ModelForm):
    """Names as the services take them."""

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        with as_form_error():
            check_types([name])
        if self.instance.pk and "name" in self.changed_data:
            # Images carry the name of their culture too, and only the service changes both.
            raise forms.ValidationError("Rename a type on the data set's settings page.")
        return name


class CellTypeInline(admin.TabularInline):
    model = CellType
    form = CellTypeForm
    extra = 1


class DatasetForm(forms.ModelForm):
    """JSON that the workers can use: they would stumble over anything else at every round."""

    def clean_channels(self) -> list[str]:
        channels = self.cleaned_data["channels"]
        if not isinstance(channels, list) or not all(isinstance(role, str) for role in channels):
            raise forms.ValidationError('Write a list of roles: ["cytoplasm", "nucleus"].')
        with as_form_error():
            check_channels(channels)
        return channels

    def clean_type_pattern(self) -> str:
        pattern: str = self.cleaned_data["type_pattern"]
        with as_form_error():
            check_pattern(pattern)
        return pattern

    def clean_training(self) -> dict[str, Any]:
        training = self.cleaned_data["training"]
        if training is None:  # left empty
            return {}
        if not isinstance(training, dict):
            raise forms.ValidationError('Write an object: {"segmenter": {"epochs": 20}}.')
        for family in Family.values:
            if not isinstance(training.get(family, {}), dict):
                raise forms.ValidationError(f"{family} must hold an object of training settings.")
            with as_form_error():
                TrainConfig.for_family(family, training.get(family, {}))
        return training

    def clean_strategy(self) -> str:
        name: str = self.cleaned_data["strategy"]
        if name not in EVERY:
            raise forms.ValidationError(f"Choose one of {', '.join(sorted(EVERY))}.")
        return name


@admin.register(Dataset)
class DatasetAdmin(DeletedByService):
    form = DatasetForm
    list_display = ["name", "channels", "image_count", "member_count", "auto_promote", "created_at"]
    search_fields = ["name", "description"]
    list_filter = ["auto_promote"]
    inlines = [CellTypeInline, MembershipInline]
    readonly_fields = ["created_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Dataset]:
        return (
            super()
            .get_queryset(request)
            .annotate(
                found_images=Count("images", distinct=True),
                found_members=Count("memberships", distinct=True),
            )
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Dataset | None = None) -> list[str]:
        # Images were read with these channels; changing them would mislabel every one.
        fixed = ["channels"] if obj is not None and obj.images.exists() else []
        return [*self.readonly_fields, *fixed]

    def delete_whole(self, row: Dataset) -> None:
        for image in row.images.select_related("dataset"):
            image_delete(image=image)
        row.delete()

    @admin.display(description="images", ordering="found_images")
    def image_count(self, dataset: Any) -> int:
        return int(dataset.found_images)

    @admin.display(description="members", ordering="found_members")
    def member_count(self, dataset: Any) -> int:
        return int(dataset.found_members)


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin):
    list_display = ["user", "dataset", "role"]
    list_filter = ["role", "dataset"]
    list_select_related = ["user", "dataset"]
    search_fields = ["user__username", "dataset__name"]
    autocomplete_fields = ["user", "dataset"]


@admin.register(Image)
class ImageAdmin(DeletedByService, Record):
    list_display = [
        "name",
        "dataset",
        "split",
        "culture",
        "group",
        "size",
        "dtype",
        "uploaded_by",
        "created_at",
    ]
    list_filter = ["dataset", "split", "culture", "dtype"]
    list_select_related = ["dataset", "uploaded_by"]
    search_fields = ["name", "sha256", "group"]
    date_hierarchy = "created_at"
    fields = [
        "picture",
        *(field.name for field in Image._meta.fields if field.name not in ("id", "key")),
    ]
    readonly_fields = ["picture"]

    def delete_whole(self, row: Image) -> None:
        image_delete(image=row)

    @admin.display(description="size (px)")
    def size(self, image: Image) -> str:
        return f"{image.width}×{image.height}×{image.channel_count}"

    @admin.display(description="")
    def picture(self, image: Image) -> str:
        return format_html('<img src="/api/v1/images/{}/thumbnail/" alt="">', image.pk)


@admin.register(Prediction)
class PredictionAdmin(Record):
    list_display = ["image", "segmenter", "detector", "cell_count", "uncertainty", "created_at"]
    list_filter = ["image__dataset"]
    list_select_related = ["image", "segmenter", "detector"]
    search_fields = ["image__name"]


@admin.register(PredictionAttempt)
class PredictionAttemptAdmin(Record):
    list_display = ["image", "segmenter", "detector", "tries", "message", "retry_after"]
    list_filter = ["image__dataset"]
    list_select_related = ["image", "segmenter", "detector"]
    search_fields = ["image__name", "message"]


@admin.register(QueueItem)
class QueueItemAdmin(Record):
    list_display = [
        "image",
        "score",
        "annotator",
        "leased_until",
        "outcome",
        "closed_at",
        "created_at",
    ]
    list_filter = ["image__dataset", "outcome", ("closed_at", admin.EmptyFieldListFilter)]
    list_select_related = ["image", "annotator"]
    search_fields = ["image__name", "annotator__username"]


@admin.register(Revision)
class RevisionAdmin(Record):
    """Append-only: a number given again would name another revision to clients that know it."""

    list_display = [
        "image",
        "number",
        "author",
        "source",
        "cell_count",
        "corrected_cells",
        "created_at",
    ]
    list_filter = ["image__dataset", "source", "author"]
    list_select_related = ["image", "author"]
    search_fields = ["image__name", "author__username", "note"]
    date_hierarchy = "created_at"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Snapshot)
class SnapshotAdmin(Record):
    list_display = ["short_hash", "dataset", "family", "counts", "created_at"]
    list_filter = ["dataset", "family"]
    list_select_related = ["dataset"]
    search_fields = ["hash"]
    exclude = ["entries"]

    @admin.display(description="hash")
    def short_hash(self, snapshot: Snapshot) -> str:
        return snapshot.hash[:12]


class EvaluationInline(RecordInline):
    model = Evaluation
    fields = readonly_fields = ("split", "images", "metrics", "created_at")


@admin.register(ModelVersion)
class ModelVersionAdmin(Record):
    list_display = ["version", "dataset", "stage", "parent", "created_at", "promoted_at"]
    list_filter = ["dataset", "family", "stage"]
    list_select_related = ["dataset", "parent"]
    search_fields = ["dataset__name", "sha256"]
    inlines = [EvaluationInline]


@admin.register(Evaluation)
class EvaluationAdmin(Record):
    list_display = ["version", "dataset", "split", "images", "ap50", "created_at"]
    list_filter = ["version__dataset", "split"]
    list_select_related = ["version__dataset"]

    @admin.display(ordering="version__dataset")
    def dataset(self, evaluation: Evaluation) -> str:
        return str(evaluation.version.dataset)

    @admin.display(description="AP (cellpose) at 0.5")
    def ap50(self, evaluation: Evaluation) -> str:
        value = evaluation.metrics.get("ap50")
        return "" if value is None else f"{value:.3f}"


class RunEpochInline(RecordInline):
    model = RunEpoch
    fields = readonly_fields = ("epoch", "train_loss", "validation_loss", "metrics", "seconds")


@admin.register(TrainingRun)
class TrainingRunAdmin(Record):
    list_display = [
        "__str__",
        "dataset",
        "status",
        "reason",
        "epoch",
        "epochs",
        "candidate",
        "requested_by",
        "created_at",
    ]
    list_filter = ["dataset", "family", "status"]
    list_select_related = ["dataset", "candidate", "requested_by"]
    search_fields = ["reason", "message"]
    inlines = [RunEpochInline]


class SearchTrialInline(RecordInline):
    model = SearchTrial
    fields = readonly_fields = ("number", "state", "value", "params", "message")


@admin.register(Search)
class SearchAdmin(Record):
    list_display = ["__str__", "dataset", "status", "wanted", "best", "run", "requested_by"]
    list_filter = ["dataset", "family", "status"]
    list_select_related = ["dataset", "best__search", "run", "requested_by"]
    search_fields = ["message"]
    inlines = [SearchTrialInline]


@admin.register(Export)
class ExportAdmin(Record):
    list_display = ["__str__", "dataset", "source", "split", "status", "requested_by", "created_at"]
    list_filter = ["dataset", "format", "status"]
    list_select_related = ["dataset", "requested_by"]
