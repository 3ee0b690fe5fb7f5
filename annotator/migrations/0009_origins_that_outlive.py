"""A run still knows that it rebuilds, and a search that it had a base, when that version is gone."""

from typing import Any

from django.db import migrations, models
from django.db.models import Q


def remember(apps: Any, schema_editor: Any) -> None:
    runs = apps.get_model("annotator", "TrainingRun").objects
    # The reason tells it of those whose original was deleted already.
    runs.filter(Q(rebuilds__isnull=False) | Q(reason__startswith="rebuilds ")).update(
        is_rebuild=True
    )
    searches = apps.get_model("annotator", "Search").objects
    searches.filter(base__isnull=False).update(had_base=True)


def part_schedules(apps: Any, schema_editor: Any) -> None:
    for trial in apps.get_model("annotator", "SearchTrial").objects.exclude(epochs=[]).iterator(20):
        trial.schedules = [point.pop("schedule", []) for point in trial.epochs]
        trial.save(update_fields=["epochs", "schedules"])


class Migration(migrations.Migration):
    dependencies = [("annotator", "0008_rules_of_drawings")]

    operations = [
        migrations.AddField(
            model_name="trainingrun",
            name="is_rebuild",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="search",
            name="had_base",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="searchtrial",
            name="schedules",
            field=models.JSONField(db_default=models.Value([], models.JSONField()), default=list),
        ),
        migrations.RunPython(remember, migrations.RunPython.noop),
        migrations.RunPython(part_schedules, migrations.RunPython.noop),
    ]
