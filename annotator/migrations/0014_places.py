"""Places where a cell seems to be missing are asked about, too."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

VERDICTS = [("accepted", "Accepted"), ("retyped", "Retyped"), ("rejected", "Rejected")]


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("annotator", "0013_progress"),
    ]

    operations = [
        migrations.CreateModel(
            name="PlaceQuestion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("place", models.PositiveIntegerField()),
                ("x", models.FloatField()),
                ("y", models.FloatField()),
                ("cells", models.FloatField()),
                ("spans", models.JSONField(default=list)),
                ("crop", models.JSONField(default=dict)),
                ("leased_until", models.DateTimeField(null=True)),
                ("answered_at", models.DateTimeField(null=True)),
                ("verdict", models.CharField(blank=True, choices=VERDICTS, max_length=10)),
                ("type", models.CharField(blank=True, max_length=40)),
                ("seconds_spent", models.FloatField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "annotator",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "prediction",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="places",
                        to="annotator.prediction",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("prediction", "place"), name="placequestion_once"
                    )
                ],
            },
        ),
    ]
