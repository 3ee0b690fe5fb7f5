"""Rules of how two models' cells are fused that an earlier form of them kept are learnt anew."""

from typing import Any

from django.db import migrations


def forget_earlier(apps: Any, schema_editor: Any) -> None:
    apps.get_model("annotator", "Fusion").objects.filter(rule__has_key="both").delete()


class Migration(migrations.Migration):
    dependencies = [("annotator", "0007_promotion_and_log")]

    operations = [migrations.RunPython(forget_earlier, migrations.RunPython.noop)]
