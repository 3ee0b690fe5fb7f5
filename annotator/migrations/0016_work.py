"""Revisions that were taken back, and those that took them back, are no work."""

import re

from django.db import migrations, models

UNDONE = re.compile(r"revision (\d+) undone")


def mark(apps, schema_editor):
    """As ``services.cells.cells_undo`` does it, for what was undone before."""
    revisions = apps.get_model("annotator", "Revision").objects
    undoing = {}  # (image, number of what takes back): number of what is taken back
    found = revisions.filter(source="gallery", note__endswith=" undone").order_by("pk")
    for pk, image, number, note in found.values_list("pk", "image", "number", "note"):
        match = UNDONE.fullmatch(note)
        if match is None:
            continue
        undoing[image, number] = target = int(match[1])
        revisions.filter(pk=pk).update(is_work=False)
        while (image, target) in undoing:
            target = undoing[image, target]
        for revision in revisions.filter(image=image, number=target):
            revisions.filter(pk=revision.pk).update(is_work=not revision.is_work)


class Migration(migrations.Migration):
    dependencies = [("annotator", "0015_inner")]

    operations = [
        migrations.AddField(
            model_name="revision", name="is_work", field=models.BooleanField(default=True)
        ),
        migrations.RunPython(mark, migrations.RunPython.noop),
    ]
