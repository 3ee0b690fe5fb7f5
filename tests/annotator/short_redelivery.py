"""The settings of a worker whose Redis hands a message out again after three seconds."""

from annotator.settings import *  # noqa: F403
from annotator.settings import CELERY_BROKER_TRANSPORT_OPTIONS

CELERY_BROKER_TRANSPORT_OPTIONS |= {"visibility_timeout": 3}
