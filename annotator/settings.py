"""All settings, read from the environment once. A wrong value stops the start with a sentence."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from kombu import Exchange, Queue

BASE_DIR = Path(__file__).resolve().parent.parent
T = TypeVar("T")


def env(name: str, default: T, cast: Callable[[str], T]) -> T:
    """Read ``name`` from the environment as ``cast`` makes it, or stop the start."""
    raw = os.environ.get(name)
    if raw is None or raw == "":
        return default
    try:
        return cast(raw)
    except (ValueError, KeyError) as error:
        raise ImproperlyConfigured(f"{name}={raw!r} cannot be used: {error}") from error


def _flag(raw: str) -> bool:
    return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[
        raw.strip().lower()
    ]


def _csv(raw: str) -> list[str]:
    return [part.strip() for part in raw.split(",") if part.strip()]


def _positive(raw: str) -> int:
    value = int(raw)
    if value < 1:
        raise ValueError("it must be a whole number of at least 1")
    return value


# Everything embedded (database, objects, broker, runs) lives in this one folder.
TESTING = "test" in sys.argv[1:2]
VAR_DIR = env("CYTOLOOP_VAR", BASE_DIR / "var", lambda raw: Path(raw).expanduser().resolve())
if TESTING:
    VAR_DIR /= "test"  # the tests empty their folder: never the one that the variable names
try:
    VAR_DIR.mkdir(parents=True, exist_ok=True)
except OSError as error:
    raise ImproperlyConfigured(f"CYTOLOOP_VAR={VAR_DIR} cannot be used: {error}") from error
RUNS_DIR = VAR_DIR / "runs"
SNAPSHOTS_DIR = VAR_DIR / "snapshots"
MODELS_DIR = VAR_DIR / "models"  # local cache of model weights, filled from storage

DEBUG = env("DEBUG", False, _flag)


def _embedded_secret() -> str:
    """A random key made once per installation, so that no default key is ever shared."""
    path = VAR_DIR / "secret_key"
    if not path.exists():
        import secrets

        fresh = VAR_DIR / f"secret_key.{os.getpid()}"
        fresh.write_text(secrets.token_urlsafe(50))
        fresh.chmod(0o600)
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)  # atomic: the first of several starting processes wins
        fresh.unlink()
    return path.read_text()


# None is kept for the tests: a kept one tells an installation from a folder to empty.
SECRET_KEY = os.environ.get("SECRET_KEY") or ("tests" * 10 if TESTING else _embedded_secret())
ALLOWED_HOSTS = env("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"], _csv)
CSRF_TRUSTED_ORIGINS: list[str] = env("CSRF_TRUSTED_ORIGINS", [], _csv)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
if env("HTTPS_ONLY", False, _flag):
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "annotator.api.errors.csrf_failure"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "annotator",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "annotator.urls"
ASGI_APPLICATION = "annotator.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


def _database(url: str) -> dict[str, Any]:
    config: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=0))
    if config["ENGINE"].endswith("sqlite3"):
        # Web, workers and beat share the file: WAL lets readers pass a writer, and IMMEDIATE
        # makes two writers queue at BEGIN instead of failing halfway through. FULL: what somebody
        # has submitted outlives a power cut.
        config["OPTIONS"] = {
            "timeout": 30,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        } | config.get("OPTIONS", {})
        # A file, not memory: the test client's threads must see the same database.
        config["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}
    return config


try:
    DATABASES = {
        "default": _database(os.environ.get("DATABASE_URL") or f"sqlite:///{VAR_DIR}/db.sqlite3")
    }
except ValueError as error:  # its value is not shown: it may hold a password
    raise ImproperlyConfigured(f"DATABASE_URL cannot be used: {error}") from error
TEST_RUNNER = "tests.runner.CleanFolderRunner"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "/sign-in"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)  # WhiteNoise warns about one that is absent
FRONTEND_DIST = BASE_DIR / "frontend" / "dist"
STATICFILES_DIRS = [("app", FRONTEND_DIST)] if FRONTEND_DIST.exists() else []
WHITENOISE_USE_FINDERS = True  # served straight from the sources: no collectstatic step

S3_BUCKET = os.environ.get("S3_BUCKET", "")
if TESTING and S3_BUCKET and "test" not in S3_BUCKET:
    raise ImproperlyConfigured(
        f"S3_BUCKET={S3_BUCKET!r} cannot be used: the tests write to the bucket, so its name must "
        "contain the word test."
    )
if S3_BUCKET:
    from botocore.config import Config as _S3Config

    _object_storage: dict[str, Any] = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": S3_BUCKET,
            "endpoint_url": os.environ.get("S3_ENDPOINT_URL") or None,
            "access_key": os.environ.get("S3_ACCESS_KEY") or None,
            "secret_key": os.environ.get("S3_SECRET_KEY") or None,
            "region_name": env("S3_REGION", "us-east-1", str),
            # Short enough that a page or a health check says so when the server is gone.
            "client_config": _S3Config(
                connect_timeout=5,
                read_timeout=60,
                retries={"total_max_attempts": 3},
                signature_version="s3v4",
                s3={"addressing_style": env("S3_ADDRESSING_STYLE", "path", str)},
            ),
            "file_overwrite": True,
            "default_acl": None,
        },
    }
else:
    _object_storage = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(VAR_DIR / "objects"), "allow_overwrite": True},
    }
STORAGES = {
    "default": _object_storage,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# Files and not memory: the web processes of one machine count sign-ins together.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": str(VAR_DIR / "cache"),
        "OPTIONS": {"MAX_ENTRIES": 1000},
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PAGINATION_CLASS": "annotator.api.pagination.NewestFirst",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "annotator.api.errors.handle",
    "DEFAULT_THROTTLE_RATES": {"sign_in": env("SIGN_IN_RATE", "20/min", str)},
    # None would believe any X-Forwarded-For, and a guesser of passwords writes a new one each time.
    "NUM_PROXIES": env("TRUSTED_PROXIES", 0, int),
    "DEFAULT_PARSER_CLASSES": [
        "annotator.api.parsers.StrictJSONParser",
        "rest_framework.parsers.FormParser",
        "rest_framework.parsers.MultiPartParser",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Cytoloop",
    "DESCRIPTION": "Active-learning annotation of cell microscopy.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    # Four nouns have a status; without names here one of them would be called Status3e0Enum.
    "ENUM_NAME_OVERRIDES": {
        "ImageStatusEnum": "annotator.selectors.images.STATUSES",
        "ExportStatusEnum": "annotator.models.ExportStatus",
        "RunStatusEnum": "annotator.models.RunStatus",
        "SearchStatusEnum": "annotator.models.SearchStatus",
        "CellVerdictEnum": "annotator.models.Verdict",
        "LabelsVerdictEnum": "annotator.api.learning.VERDICTS",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "annotator.api.schema.declare_failures",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# A broker that needs no server: kombu's folder transport. Messages only wake workers; the rows
# are the truth, so a lost message costs one beat interval and nothing else.
BROKER_URL = os.environ.get("BROKER_URL") or "filesystem://localhost//"
CELERY_BROKER_URL = BROKER_URL
# Sending to a broker that is down gives up after a second instead of six: beat wakes what was lost.
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {"max_retries": 1, "interval_start": 0}
CELERY_BROKER_CONNECTION_TIMEOUT = 2
if BROKER_URL.startswith("filesystem://"):
    _broker = VAR_DIR / "broker"
    for _name in ("messages", "control"):
        (_broker / _name).mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS |= {
        "data_folder_in": str(_broker / "messages"),
        "data_folder_out": str(_broker / "messages"),
        "control_folder": str(_broker / "control"),
        "store_processed": False,
    }
if BROKER_URL.startswith(("redis://", "rediss://")):
    # One that was restarted may leave a connection that never answers.
    CELERY_BROKER_TRANSPORT_OPTIONS |= {
        "socket_timeout": 30,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
    }
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "cpu"
CELERY_TASK_ACKS_LATE = False  # every task re-reads its row and beat wakes what was lost
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
PREDICTION_QUEUE = env("PREDICTION_QUEUE", "cpu", str)
TRAINING_QUEUE = env("TRAINING_QUEUE", "training", str)
BEAT_SECONDS = env("BEAT_SECONDS", 15, _positive)
HEARTBEAT_SECONDS = env("HEARTBEAT_SECONDS", 60, _positive)  # a run silent for longer is orphaned
EXPORT_KEEP_DAYS = env("EXPORT_KEEP_DAYS", 30, _positive)  # the zips of exports
# Only where objects leave the machine: in a folder they would lie beside the run's own.
STORE_CHECKPOINTS = env("STORE_CHECKPOINTS", bool(S3_BUCKET), _flag)
CHECKPOINT_SECONDS = env("CHECKPOINT_SECONDS", 60, _positive)  # at least so long between two
RUN_KEEP_DAYS = env("RUN_KEEP_DAYS", 30, _positive)  # checkpoints and weights of runs that are over
CELERY_BEAT_SCHEDULE = {
    "tick": {
        "task": "tick",
        "schedule": BEAT_SECONDS,
        "args": [0],
        # A round that was not worked on before the next one is sent has lapsed.
        "options": {"queue": "cpu", "expires": BEAT_SECONDS},
    }
}
# Without arguments, which would differ between brokers: RabbitMQ 4.3.2 refuses a classic queue
# with a consumer timeout, and older ones need it raised (docs/admin.md). `training` is declared
# even where the trainings go elsewhere, as compose's CPU trainer listens to it.
CELERY_TASK_QUEUES = [
    Queue(name, Exchange(name), routing_key=name)
    for name in sorted({"cpu", "training", PREDICTION_QUEUE, TRAINING_QUEUE})
]

# Limits on what an upload may ask of the server.
UPLOAD_MAX_BYTES = env("UPLOAD_MAX_MB", 512, _positive) * 2**20
IMAGE_MAX_PIXELS = env("IMAGE_MAX_MEGAPIXELS", 400, _positive) * 10**6
REQUEST_MAX_BYTES = env("REQUEST_MAX_MB", 4096, _positive) * 2**20  # all files of an upload
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 2**20  # fields beside files, such as the cells of an annotation
DATA_UPLOAD_MAX_NUMBER_FILES = 1000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1100  # a folder for each file, and a few more

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env("LOG_LEVEL", "INFO", str)},
    # What a client asked wrongly is told to the client; the log is for what the server did wrong.
    "loggers": {"django.request": {"level": "CRITICAL" if TESTING else "ERROR"}},
}
