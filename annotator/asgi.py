"""The ASGI entry: ``uvicorn annotator.asgi:application``."""

from __future__ import annotations

import os
import warnings

from django.core.asgi import get_asgi_application

from annotator.api.bodies import limited

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotator.settings")

# WhiteNoise hands over files as plain iterators: short ones, read at once without harm.
warnings.filterwarnings("ignore", "StreamingHttpResponse must consume synchronous iterators")

application = limited(get_asgi_application())
