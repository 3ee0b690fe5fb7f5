"""A run still knows that it was to start from a version when that is gone."""

from typing import Any

from django.db import migrations, models


def remember(apps: Any, schema_editor: Any) -> None:
    runs = apps.get_model("annotator", "TrainingRun").objects
    runs.filter(base__isnull=False).update(had_base=True)


class Migration(migrations.Migration):
    dependencies = [("annotator", "0009_origins_that_outlive")]

    operations = [
        migrations.AddField(
            model_name="trainingrun",
            name="had_base",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.RunPython(remember, migrations.RunPython.noop),
    ]
