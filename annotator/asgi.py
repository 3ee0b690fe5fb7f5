"""The ASGI entry: ``uvicorn annotator.asgi:application``."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

from annotator.api.bodies import limited

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotator.settings")

application = limited(get_asgi_application())
