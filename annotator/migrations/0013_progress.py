"""A run tells how far each of its steps is, and an epoch how long it waited for images."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("annotator", "0012_summary")]

    operations = [
        migrations.AddField(
            model_name="trainingrun",
            name="progress",
            field=models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict),
        ),
        migrations.AddField(
            model_name="runepoch",
            name="waiting",
            field=models.FloatField(null=True),
        ),
    ]
