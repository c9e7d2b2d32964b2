"""Every setting, grouped, read once from the environment or `.env`; a wrong value stops the start and names itself."""

import contextlib
import os
import re
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import environ
from croniter import croniter
from cryptography.fernet import Fernet
from csp.constants import NONE, SELF
from django.contrib.messages import constants as messages
from django.core.exceptions import ImproperlyConfigured

from agentopt import __version__

T = TypeVar("T")
BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()
environ.Env.read_env(os.environ.get("AGENTOPT_ENV_FILE", str(BASE_DIR / ".env")))


# ------------------------------------------------------------------------------------------------ reading
def _read(name: str, default: object, kind: Callable[[str], T], expected: str) -> T:
    """Return a setting, or stop with its name and what was expected; an empty one has its default.

    The value is not repeated: it may hold a password, and this ends up in the log.
    """
    text = env.str(name, default="").strip() or str(default)
    try:
        return kind(text)
    except (ValueError, TypeError, KeyError, OSError):
        raise ImproperlyConfigured(f"{name}: expected {expected}.") from None


def _switch(text: str) -> bool:
    return {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}[
        text.lower()
    ]


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return parse


def _count(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return parse


def _counts(low: int, high: int) -> Callable[[str], dict[str, int]]:
    """`openai=8, anthropic=4`."""
    one = _count(low, high)

    def parse(text: str) -> dict[str, int]:
        found = {}
        for part in _names(text):
            name, mark, number = part.rpartition("=")
            if not mark or not name.strip():
                raise ValueError(text)
            found[name.strip()] = one(number)
        return found

    return parse


def _cron(text: str) -> str:
    if len(text.split()) != 5 or not croniter.is_valid(text):
        raise ValueError(text)
    croniter(text).get_next()  # a ValueError, too, where the day never comes, such as February 31
    return text


def _base_url(text: str) -> str:
    """An address without a path gets /v1, as the gateway's API lives there."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(text)
    return text.rstrip("/") if parts.path.strip("/") else f"{text.rstrip('/')}/v1"


def _public_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise ValueError(text)
    return text.rstrip("/")


def _folder(text: str) -> Path:
    path = Path(text).expanduser().resolve()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(path, os.W_OK):
        raise ValueError(text)
    return path


def _admin_path(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9/_-]*", text):
        raise ValueError(text)
    return f"{text.strip('/')}/"


def _mail(text: str) -> dict[str, Any]:
    """`smtp://user:password@host:587`, `smtp+tls://…` or `smtp+ssl://…`; none: no mail is sent."""
    if not text:
        return {"EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend"}
    if not text.startswith(("smtp://", "smtp+tls://", "smtp+ssl://")) or not urlsplit(text).hostname:
        raise ValueError(text)
    given: dict[str, Any] = environ.Env.email_url_config(text)
    return given


def _fernet_keys(text: str) -> list[str]:
    keys = _names(text)
    for key in keys:
        Fernet(key)
    if not keys:
        raise ValueError(text)
    return keys


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _kept(name: str, file: str, make: Callable[[], str]) -> str:
    """Return a secret from the environment, or the one made earlier in DATA_DIR, or make it there now."""
    given: str = env.str(name, default="").strip()
    if given:
        return given
    path = DATA_DIR / file
    if not path.exists():
        # linked when complete: another process that starts now never reads half of it
        number, draft = tempfile.mkstemp(dir=DATA_DIR)
        with os.fdopen(number, "w", encoding="utf-8") as out:
            out.write(make())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        Path(draft).unlink()
    return path.read_text(encoding="utf-8").strip()


# ------------------------------------------------------------------------------------------------ instance
DATA_DIR = _read("DATA_DIR", BASE_DIR / "var", _folder, "a folder that can be written to")
DEBUG = _read("DEBUG", "false", _switch, "true or false")
SECRET_KEY = _kept("SECRET_KEY", "secret_key", lambda: secrets.token_urlsafe(48))
try:
    AGENTOPT_ENCRYPTION_KEYS = _fernet_keys(
        _kept("AGENTOPT_ENCRYPTION_KEYS", "encryption_keys", lambda: Fernet.generate_key().decode())
    )
except ValueError:
    raise ImproperlyConfigured(
        "AGENTOPT_ENCRYPTION_KEYS: expected Fernet keys (32 bytes, base64), comma-separated."
    ) from None
PUBLIC_URL = _read("PUBLIC_URL", "http://localhost:8000", _public_url, "the address people use, without a path")
ALLOWED_HOSTS = _read(
    "ALLOWED_HOSTS",
    "*" if DEBUG else f"localhost,127.0.0.1,[::1],{urlsplit(PUBLIC_URL).hostname}",
    _names,
    "host names, comma-separated",
)
CSRF_TRUSTED_ORIGINS = [f"{urlsplit(PUBLIC_URL).scheme}://{urlsplit(PUBLIC_URL).netloc}"]
ADMIN_PATH = _read("ADMIN_PATH", "admin/", _admin_path, "a path of small letters, digits and hyphens")
METRICS_TOKEN = env.str("METRICS_TOKEN", default="").strip()
IS_WORKER = _read("AGENTOPT_WORKER", "false", _switch, "true or false")  # set by the supervisor
VERSION = __version__

# ------------------------------------------------------------------------------------------------ gateway and decision
PORTKEY_API_KEY = env.str("PORTKEY_API_KEY", default="").strip()
PORTKEY_BASE_URL = _read(
    "PORTKEY_BASE_URL", "", lambda text: _base_url(text) if text else "", "an http or https address"
)
ALLOW_PRIVATE_ADDRESSES = _read("ALLOW_PRIVATE_ADDRESSES", "false", _switch, "true or false")
JUDGE_MODELS = _read("JUDGE_MODELS", "", _names, "gateway names of models, comma-separated")
DEFAULT_REPLAY_SAMPLE_SIZE = _read(
    "DEFAULT_REPLAY_SAMPLE_SIZE", 100, _count(10, 10_000), "a whole number from 10 to 10000"
)
CONFIDENCE_THRESHOLD = _read("CONFIDENCE_THRESHOLD", 0.7, _number(0.5, 0.98), "a number from 0.5 to 0.98")
JUDGE_DISAGREEMENT_THRESHOLD = _read("JUDGE_DISAGREEMENT_THRESHOLD", 0.3, _number(0.01, 1), "a number from 0.01 to 1")
MAX_EVALUATION_COST_USD = _read("MAX_EVALUATION_COST_USD", 25, _number(0, 1_000_000), "US dollars, at least 0")
MAX_EVALUATION_CALLS = _read(
    "MAX_EVALUATION_CALLS", 50_000, _count(1, 100_000_000), "a whole number from 1 to 100000000"
)
RANKING_MODEL = env.str("RANKING_MODEL", default="").strip()
SUMMARY_MODEL = env.str("SUMMARY_MODEL", default="").strip()
MAX_CONCURRENT_CALLS = _read("MAX_CONCURRENT_CALLS", 16, _count(1, 512), "a whole number from 1 to 512")
MAX_CONCURRENT_CALLS_BY_PROVIDER = _read(
    "MAX_CONCURRENT_CALLS_BY_PROVIDER", "", _counts(1, 512), "PROVIDER=NUMBER, comma-separated, each number 1 to 512"
)
CALL_TIMEOUT_S = _read("CALL_TIMEOUT_S", 120, _number(0.1, 3600), "seconds, 0.1 to 3600")
# a question over the calls themselves; those that roll-ups answer are free
ANALYTICS_MAX_ROWS = _read("ANALYTICS_MAX_ROWS", 500_000, _count(1, 10**9), "a whole number from 1 to 1000000000")
ANALYTICS_MAX_S = _read("ANALYTICS_MAX_S", 30, _number(0.1, 600), "seconds, 0.1 to 600")
ANALYTICS_DAY_ROWS = _read("ANALYTICS_DAY_ROWS", 50_000_000, _count(1, 10**12), "a whole number, at least 1")
ANALYTICS_DAY_S = _read("ANALYTICS_DAY_S", 3600, _number(1, 86_400), "seconds, 1 to 86400")
ANALYTICS_CACHE_ENTRIES = _read("ANALYTICS_CACHE_ENTRIES", 500, _count(0, 100_000), "a whole number from 0 to 100000")
MAX_UPLOAD_MB = _read("MAX_UPLOAD_MB", 1024, _count(1, 1_000_000), "a whole number from 1 to 1000000")
MAX_UPLOAD_IN_MEMORY_MB = _read("MAX_UPLOAD_IN_MEMORY_MB", 100, _count(1, 10_000), "a whole number from 1 to 10000")
ENABLE_SCHEDULER = _read("ENABLE_SCHEDULER", "true", _switch, "true or false")
EVALUATION_SCHEDULE_CRON = _read("EVALUATION_SCHEDULE_CRON", "0 2 * * 0", _cron, "five cron fields")

# ------------------------------------------------------------------------------------------------ applications
INSTALLED_APPS = [
    "projects",
    "ingestion",
    "evaluation",
    "recommendations",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "csp",
    "django_htmx",
    "template_partials",
    "django_q",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "agentopt.lib.htmx.PageMiddleware",
]
ROOT_URLCONF = "agentopt.urls"
WSGI_APPLICATION = "agentopt.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "projects.selectors.shell",
            ],
            "builtins": ["agentopt.lib.filters"],
        },
    }
]

# ------------------------------------------------------------------------------------------------ database and cache
# What each option prevents was measured: docs/decisions/0004-sqlite-and-queue-settings.md.
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "agentopt.sqlite3",
        "ATOMIC_REQUESTS": False,
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA recursive_triggers=ON;"
            "PRAGMA journal_size_limit=67108864;PRAGMA cache_size=-20000;PRAGMA temp_store=MEMORY",
        },
    }
}


def _database(url: str) -> dict[str, Any]:
    """`postgresql://` and `postgresql+driver://` alike; `sqlite:///path` names another SQLite file."""
    scheme, mark, rest = url.partition("://")
    given: dict[str, Any] = environ.Env.db_url_config(f"{scheme.split('+')[0]}{mark}{rest}")
    if (
        not mark
        or given["ENGINE"] not in ("django.db.backends.postgresql", "django.db.backends.sqlite3")
        or not given["NAME"]
    ):
        raise ValueError(url)
    if given["ENGINE"].endswith("sqlite3"):
        options = {**DATABASES["default"]["OPTIONS"], **given.get("OPTIONS", {})}
        return {**DATABASES["default"], **given, "OPTIONS": options}
    name = "agentopt-worker" if IS_WORKER else "agentopt-web"
    # lz4 triples the speed of storing bodies; a psycopg pool must never reach a worker
    options = {"application_name": name, "options": "-c default_toast_compression=lz4", **given.get("OPTIONS", {})}
    if IS_WORKER:
        options.pop("pool", None)
    return {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True, "ATOMIC_REQUESTS": False, **given, "OPTIONS": options}


if env.str("DATABASE_URL", default="").strip():
    DATABASES["default"] = _read(
        "DATABASE_URL", "", _database, "postgresql://user:password@host/name or sqlite:////path"
    )
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES: dict[str, dict[str, Any]] = {
    # shared between processes on both databases: throttles and limits on failed sign-ins count here
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "agentopt_cache",
        "OPTIONS": {"MAX_ENTRIES": 20_000},
    },
    "qcluster": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": DATA_DIR / "qcluster"},
}

# ------------------------------------------------------------------------------------------------ background work
WORKERS = _read("WORKERS", 2, _count(1, 64), "a whole number from 1 to 64")
Q_CLUSTER = {
    "name": "agentopt",
    "orm": "default",
    "workers": WORKERS,
    "timeout": 180,
    "retry": 600,  # more than timeout × (1 + ceil((queue_limit + 1) / workers)), or tasks run twice at once
    "queue_limit": 1,
    "bulk": 1,
    "ack_failures": True,  # our lease decides about repeats, not the broker
    "max_attempts": 1,
    "catch_up": False,
    "save_limit": 200,
    "recycle": 200,
    "max_rss": 900_000,
    "guard_cycle": 0.5,
    "poll": 0.5,
    "compress": False,
    "cache": "qcluster",
    "time_zone": "UTC",
    "ALT_CLUSTERS": {},
    "sync": False,
    "scheduler": ENABLE_SCHEDULER,
}
# one slice works for a minute and beats every 20 s; a worker that is silent for this long counts as dead
JOB_LEASE_S = _read("JOB_LEASE_S", 60, _number(1, 3600), "seconds, 1 to 3600")
JOB_STALL_S = _read("JOB_STALL_S", 90, _number(2, 3600), "seconds, 2 to 3600")

# ------------------------------------------------------------------------------------------------ people
AUTH_USER_MODEL = "projects.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_ADAPTER = "projects.forms.AccountAdapter"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = True
MESSAGE_TAGS = {messages.SUCCESS: "ok", messages.WARNING: "warn", messages.ERROR: "bad"}  # classes of the stylesheet
globals().update(_read("EMAIL_URL", "", _mail, "smtp://user:password@host:587, smtp+tls:// or smtp+ssl://"))
HAS_MAIL = bool(env.str("EMAIL_URL", default="").strip())
DEFAULT_FROM_EMAIL = _read("DEFAULT_FROM_EMAIL", "agentopt@localhost", str, "an e-mail address")

# ------------------------------------------------------------------------------------------------ time, files, security
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
LANGUAGE_CODE = "en-us"
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "agentopt.lib.charts.PlotlyFinder",
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_ALLOW_ALL_ORIGINS = False
# without collected files (a plain `runserver`) they are served from where they stand
WHITENOISE_USE_FINDERS = not (STATIC_ROOT / "staticfiles.json").exists()
if WHITENOISE_USE_FINDERS:
    with contextlib.suppress(OSError):  # read-only code: only a warning of whitenoise's is lost
        STATIC_ROOT.mkdir(exist_ok=True)
    STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE], "script-src": [SELF], "style-src": [SELF], "img-src": [SELF, "data:"],
        "font-src": [SELF], "connect-src": [SELF], "form-action": [SELF], "manifest-src": [SELF],
        "base-uri": [NONE], "frame-ancestors": [NONE], "object-src": [NONE],
    }
}  # fmt: skip
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
_HTTPS = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if _HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _HTTPS else None
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
FILE_UPLOAD_TEMP_DIR = DATA_DIR  # the only folder that is ours

# ------------------------------------------------------------------------------------------------ API
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "projects.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "agentopt.lib.drf.error_envelope",
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.UserRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"user": "1200/min"},
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "agentopt",
    "DESCRIPTION": "Logs in, evidence out: the REST API over the same objects as the pages.",
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.0",  # its schemas are JSON schemas, as those of analytics are
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "agentopt.lib.drf.describe_errors"],
    "ENUM_NAME_OVERRIDES": {
        "RecommendationStateEnum": "recommendations.models.Transition.State",
        "FollowUpVerdictEnum": "recommendations.models.FollowUp.Verdict",
        "ChannelFormEnum": "projects.models.Channel.Form",
        "JudgeFormEnum": "evaluation.models.JudgeVersion.Form",
        "RoleEnum": "projects.models.Role",
    },
    # like every other API view: people who signed in, and tokens
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
}

# ------------------------------------------------------------------------------------------------ log lines
LOG_LEVEL = _read(
    "LOG_LEVEL",
    "INFO",
    {x: x for x in ("DEBUG", "INFO", "WARNING", "ERROR")}.__getitem__,
    "DEBUG, INFO, WARNING or ERROR",
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "agentopt.lib.logs.JsonFormatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    # Django's own handlers would write each line a second time; what the queue delivers is told by our own jobs
    "loggers": {"django": {"handlers": [], "level": LOG_LEVEL}, "django-q": {"level": "WARNING"}},
}
