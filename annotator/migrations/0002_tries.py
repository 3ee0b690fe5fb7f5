"""Counts how many workers a run or an export has cost."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("annotator", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="export",
            name="tries",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="trainingrun",
            name="tries",
            field=models.PositiveIntegerField(default=0),
        ),
    ]
