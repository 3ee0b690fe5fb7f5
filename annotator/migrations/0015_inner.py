"""A pixel of each cell's mask: whether it is answered for is told by it, too."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("annotator", "0014_places")]

    operations = [
        migrations.AddField(
            model_name=model, name=name, field=models.PositiveIntegerField(null=True)
        )
        for model in ("cell", "predictedcell")
        for name in ("inner_x", "inner_y")
    ]
