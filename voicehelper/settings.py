"""Settings: everything a deployer sets comes from the environment, and a wrong or missing value refuses to start.

The modes: `production` (the default, strict), `demo` (set by `make run`: loopback only, stand-ins for the providers),
`test`. `make run` leaves its services' addresses and keys in $VOICEHELPER_DATA/env; what the environment says wins.
What operators edit (gateways, prices) is rows, never settings. See .env.example for every variable.
"""

from urllib.parse import urlsplit

import django_stubs_ext
from django.core.exceptions import ImproperlyConfigured

from voicehelper import admin_theme, log_lines, schedule
from voicehelper.variables import BASE_DIR, DATA_DIR, database, direct_database, env, number, rate, redis_url, required

# Django's generic classes take type parameters at run time too.
django_stubs_ext.monkeypatch()

MODE: str = env.str("VOICEHELPER_MODE", default="production")
if MODE not in {"production", "demo", "test"}:
    raise ImproperlyConfigured(f"VOICEHELPER_MODE is {MODE!r}: use production, demo or test.")
PRODUCTION = MODE == "production"

DEBUG = False
SECRET_KEY = required("SECRET_KEY", "Any 50 random characters, kept for as long as sessions should live.")
SECRET_KEYS = [
    key.strip()
    for key in required(
        "VOICEHELPER_SECRET_KEYS", "Comma-separated Fernet keys, newest first; the first one encrypts."
    ).split(",")
    if key.strip()
]
SERVER_ADDRESS = required("SERVER_ADDRESS", "The address users and providers reach us at, e.g. https://pay.example.com")
if urlsplit(SERVER_ADDRESS).scheme not in {"http", "https"} or not urlsplit(SERVER_ADDRESS).hostname:
    raise ImproperlyConfigured(f"SERVER_ADDRESS is {SERVER_ADDRESS!r}: write it like https://pay.example.com")
SERVER_ADDRESS = SERVER_ADDRESS.rstrip("/")
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=[str(urlsplit(SERVER_ADDRESS).hostname)])
CSRF_TRUSTED_ORIGINS = [SERVER_ADDRESS]
# How many proxies of ours stand in front and append to X-Forwarded-For; 0 believes the socket alone.
TRUSTED_PROXIES: int = number("TRUSTED_PROXIES", 0, least=0)
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# Where the providers live. Empty means the real ones (and for Alipay, that the operator's sandbox switch chooses).
WECHAT_PAY_BASE_URL: str = env.str("WECHAT_PAY_BASE_URL", default="")
ALIPAY_GATEWAY_URL: str = env.str("ALIPAY_GATEWAY_URL", default="")
WECHAT_API_BASE_URL: str = env.str("WECHAT_API_BASE_URL", default="")
# Where a visitor inside WeChat is sent to be told apart from others.
WECHAT_OAUTH_URL: str = env.str("WECHAT_OAUTH_URL", default="")
# Where a visitor of any other browser is sent to scan WeChat's QR code.
WECHAT_QR_URL: str = env.str("WECHAT_QR_URL", default="")
# Accounts at model providers that are made on first start: (API key, base URL; empty: the real one).
LLM_ACCOUNTS: dict[str, tuple[str, str]] = {
    "ark": (env.str("ARK_API_KEY", default=""), env.str("ARK_BASE_URL", default="")),
    "openai": (env.str("OPENAI_API_KEY", default=""), env.str("OPENAI_BASE_URL", default="")),
    "claude": (env.str("ANTHROPIC_API_KEY", default=""), env.str("ANTHROPIC_BASE_URL", default="")),
}
# Where alerts go. Empty means the real ones; and the mail hosts that may be in a private network, or without TLS.
DINGTALK_BASE_URL: str = env.str("DINGTALK_BASE_URL", default="")
ALIYUN_SMS_URL: str = env.str("ALIYUN_SMS_URL", default="")
TENCENT_SMS_URL: str = env.str("TENCENT_SMS_URL", default="")
# Where texts are moderated. Empty means the real ones.
ALIYUN_GREEN_URL: str = env.str("ALIYUN_GREEN_URL", default="")
TENCENT_TMS_URL: str = env.str("TENCENT_TMS_URL", default="")
SMTP_PRIVATE_HOSTS: list[str] = env.list("SMTP_PRIVATE_HOSTS", default=[])
# S3 servers that may be in a private network, or without TLS: host names, each with all below it.
S3_PRIVATE_HOSTS: list[str] = env.list("S3_PRIVATE_HOSTS", default=[])
SANDBOX: bool = env.bool("SANDBOX", default=False)
if SANDBOX and PRODUCTION:
    raise ImproperlyConfigured("SANDBOX is for demo and test: in production anybody could pay with its stand-ins.")
# How fast the stand-ins for model providers write.
SANDBOX_TOKENS_PER_SECOND: float = env.float("SANDBOX_TOKENS_PER_SECOND", default=50.0)
if SANDBOX_TOKENS_PER_SECOND <= 0:
    raise ImproperlyConfigured("SANDBOX_TOKENS_PER_SECOND must be greater than 0.")

INSTALLED_APPS = [
    "voicehelper.admin.site.Theme",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "drf_spectacular",
    "voicehelper.accounts",
    "voicehelper.wallet",
    "notifications",
    "topup",
    "storage_backends",
    "llm",
]
if SANDBOX:
    INSTALLED_APPS.append("sandbox")

MIDDLEWARE = [
    "voicehelper.middleware.RequestId",
    "voicehelper.middleware.AskedByAddress",
    "voicehelper.middleware.DatabaseDown",
    "voicehelper.middleware.RefuseNul",
    "voicehelper.origin.NoteOrigin",
    "django.middleware.security.SecurityMiddleware",
    "voicehelper.middleware.CompressedPages",
    "voicehelper.middleware.ContentSecurityPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "voicehelper.cookies.FormerCookies",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "voicehelper.accounts.middleware.NoteBrowser",
    "voicehelper.accounts.middleware.SecondStep",
    "storage_backends.middleware.FormsWithFiles",
    "django.contrib.messages.middleware.MessageMiddleware",
    "voicehelper.accounts.middleware.Returned",
    "voicehelper.accounts.middleware.AsksConsent",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
if SANDBOX:
    # It writes into pages, before they are compressed.
    MIDDLEWARE.insert(MIDDLEWARE.index("voicehelper.middleware.CompressedPages") + 1, "sandbox.browser.PlayedBrowser")
ROOT_URLCONF = "voicehelper.urls"
ASGI_APPLICATION = "voicehelper.asgi.application"
APPEND_SLASH = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "voicehelper.accounts.site.foot",
            ]
        },
    }
]

# --- Data ------------------------------------------------------------------------------------------------------------
DATABASES = {"default": database()}
DATABASES["default"]["ENGINE"] = "voicehelper.database"
# What no request may need. `manage.py` sets it to 0, no limit: its work may be long, and nobody waits for it. Creating
# and dropping a test database can take longer than any statement of ours may.
DATABASE_STATEMENT_SECONDS: int = number("DATABASE_STATEMENT_SECONDS", 120 if MODE == "test" else 15, least=0)
# statement_timeout and idle_in_transaction_session_timeout: a stuck transaction must not hold a wallet's row.
SESSION_OPTIONS = (
    f"-c statement_timeout={DATABASE_STATEMENT_SECONDS}s -c lock_timeout=2s"
    " -c idle_in_transaction_session_timeout=30s -c synchronous_commit=on -c timezone=UTC"
)
DATABASES["default"]["OPTIONS"] = {
    # What the URL says of TLS, and whatever else libpq knows.
    **DATABASES["default"].get("OPTIONS", {}),
    "options": SESSION_OPTIONS,
    # A server that vanished without a word is given up after seconds, not after the kernel's quarter of an hour.
    "connect_timeout": 2,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
# Where PostgreSQL itself is when DATABASE_HOST is a pooler that lends sessions for a transaction only (PgBouncer), for
# what needs a session to itself: the relay's LISTEN and prepared statements. The pooler passes no options on (the role
# has its own by grant_database_role) and keeps no cursors.
DATABASE_DIRECT = direct_database()
if DATABASE_DIRECT:
    DATABASES["default"]["OPTIONS"].pop("options")
    DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True
# Each of a server's threads keeps its connection to the database: nobody waits for one, and after a restart of
# PostgreSQL the next request connects anew. Provider callbacks have threads to themselves, so that pages which wait for
# something cannot keep a provider waiting.
WEB_THREADS: int = number("WEB_THREADS", 16, least=1)
NOTICE_THREADS: int = number("NOTICE_THREADS", 8, least=1)
# Files have threads of their own, too: each is occupied for as long as a phone takes to send or to fetch one.
FILE_THREADS: int = number("FILE_THREADS", 8, least=1)
# Server processes of this node (serving.py).
WEB_CONCURRENCY: int = number("WEB_CONCURRENCY", 1, least=1)
DATABASES["default"]["CONN_MAX_AGE"] = 600
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL: str = redis_url()
# Rate limits only; money never. Short time-outs: a dead Redis must not slow a payment.
RATELIMIT_STORAGE = REDIS_URL
PAY_RATE_LIMIT = rate("PAY_RATE_LIMIT", "20 per 20 minutes")

CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 1, "socket_timeout": 30}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TIME_LIMIT = 300
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TIMEZONE = "Asia/Shanghai"
CELERY_BEAT_SCHEDULE = schedule.TASKS | (schedule.SANDBOX_TASKS if SANDBOX else {})

# The bearer token `/metrics` asks for; without one there is no such page.
METRICS_TOKEN: str = env.str("METRICS_TOKEN", default="")

# --- Large models ----------------------------------------------------------------------------------------------------
# What ends a call that nothing else ends: until its first output, or a whole answer, with all its tries; and until the
# end of a stream. Connecting, the first byte and silence have limits of their own, which come first.
LLM_TOTAL_SECONDS: float = number("LLM_TOTAL_SECONDS", 7200.0, least=0.0)
LLM_STREAM_SECONDS: float = number("LLM_STREAM_SECONDS", 7200.0, least=0.0)
# How far a stream is read on after its client hung up, to learn what it used.
LLM_DRAIN_SECONDS: float = number("LLM_DRAIN_SECONDS", 30.0, least=0.0)
LLM_DRAIN_CHUNKS: int = number("LLM_DRAIN_CHUNKS", 20_000, least=0)
LLM_SPEECH_CHARACTERS: int = number("LLM_SPEECH_CHARACTERS", 4096, least=1)
# Per API key and process: calls at once, and calls a minute (0: no limit).
LLM_KEY_CONCURRENCY: int = number("LLM_KEY_CONCURRENCY", 1000, least=1)
LLM_KEY_CALLS_PER_MINUTE: int = number("LLM_KEY_CALLS_PER_MINUTE", 0, least=0)
# Questions a user may put to the chat API; and how much of a session, in estimated tokens, is sent along with the next.
CHAT_RATE_LIMIT = rate("CHAT_RATE_LIMIT", "60 per minute")
LLM_HISTORY_TOKENS: int = number("LLM_HISTORY_TOKENS", 3000, least=0)
# How long answers to /v1/responses are kept for their user, and how many bytes of them.
LLM_RESPONSES_DAYS: int = number("LLM_RESPONSES_DAYS", 30, least=1)
LLM_RESPONSES_BYTES: int = number("LLM_RESPONSES_BYTES", 256 * 1024 * 1024, least=0)

# --- Files -----------------------------------------------------------------------------------------------------------
# Where they lie until an operator configures a bucket, and where they wait while they arrive. Several machines need a
# folder that they share.
FILES_DIR: str = env.str("FILES_DIR", default=str(DATA_DIR / "files"))
# Bytes of one file; files of a user, and their bytes; uploads of a user.
FILE_MAX_BYTES: int = number("FILE_MAX_BYTES", 100 * 1024**2, least=1)
FILES_PER_USER: int = number("FILES_PER_USER", 1000, least=0)
FILE_BYTES_PER_USER: int = number("FILE_BYTES_PER_USER", 1024**3, least=0)
FILE_RATE_LIMIT = rate("FILE_RATE_LIMIT", "60 per minute")

# --- People ----------------------------------------------------------------------------------------------------------
# Whether operators get nowhere without a second factor.
STAFF_SECOND_FACTOR: bool = env.bool("STAFF_SECOND_FACTOR", default=PRODUCTION)
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["voicehelper.accounts.backends.RateLimitedBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "voicehelper.accounts.passwords.NoPattern"},
    {"NAME": "voicehelper.accounts.passwords.NoNamesOfOurs"},
    {"NAME": "voicehelper.accounts.passwords.NotBreached"},
]
# Names of the company and its brands, which no password may contain; and where passwords are compared with stolen ones.
PASSWORD_WORDS: list[str] = env.list("PASSWORD_WORDS", default=[])
PWNED_PASSWORDS_URL: str = env.str("PWNED_PASSWORDS_URL", default="")
if MODE == "test":
    # Hashing a password properly takes longer than most tests.
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# How long a link lives that sets a new password. letters.py says it in words.
PASSWORD_RESET_TIMEOUT = 3600
LOGIN_URL = "accounts:sign_in"
LOGIN_REDIRECT_URL = "topup:recharge"
SIGN_UP_REDIRECT_URL = "chat:first_steps"
LOGOUT_REDIRECT_URL = "accounts:sign_in"

# --- Web -------------------------------------------------------------------------------------------------------------
# How long the headers of a request may take to come.
HEADER_SECONDS: float = number("HEADER_SECONDS", 10.0, least=1.0)
# How long a client may take nothing of an answer that lies ready for it, before it is let go.
UNREAD_SECONDS: float = number("UNREAD_SECONDS", 30.0, least=0.1)
# How long a server that was told to stop says so before its port closes, and then how long what is under way may take.
STOP_LEAD_SECONDS: float = number("STOP_LEAD_SECONDS", 5.0, least=0.0)
STOP_DRAIN_SECONDS: int = number("STOP_DRAIN_SECONDS", 30, least=0)
# Demo and test speak plain HTTP on loopback; everything else is HTTPS only.
TLS = urlsplit(SERVER_ADDRESS).scheme == "https"
if PRODUCTION and not TLS:
    raise ImproperlyConfigured("SERVER_ADDRESS must start with https:// in production: providers refuse plain HTTP.")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = TLS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 14 * 24 * 3600
# Only this very host may set them; browsers take such names over TLS alone.
COOKIE_PREFIX = "__Host-" if TLS else ""
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = f"{COOKIE_PREFIX}sessionid", f"{COOKIE_PREFIX}csrftoken"
LANGUAGE_COOKIE_NAME, LANGUAGE_COOKIE_SECURE = f"{COOKIE_PREFIX}django_language", TLS
MESSAGE_STORAGE = "voicehelper.cookies.MessageStorage"
# Who asks for nothing for as long is signed out: users, and operators.
SESSION_IDLE_HOURS: int = number("SESSION_IDLE_HOURS", 7 * 24, least=1)
STAFF_IDLE_MINUTES: int = number("STAFF_IDLE_MINUTES", 60, least=1)
SESSION_ENGINE = "voicehelper.accounts.session_store"
SECURE_SSL_REDIRECT = TLS
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = TLS
SECURE_REFERRER_POLICY = "strict-origin-when-cross-origin"
X_FRAME_OPTIONS = "DENY"

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
if PRODUCTION:
    # Beside the code it belongs to: it is collected when an image is made, long before a deployer sets any variable.
    STATIC_ROOT = BASE_DIR / "staticfiles"
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "voicehelper.static_files.HashedModules"},
    }
else:
    WHITENOISE_USE_FINDERS = True

LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
# Orders, bills and both providers live on Beijing time; rows are UTC.
TIME_ZONE = "Asia/Shanghai"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "voicehelper.accounts.authentication.BearerToken",
        "voicehelper.accounts.authentication.SessionCookie",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["voicehelper.api.parsing.StrictJSON"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "voicehelper.api.parsing.AnswerAnyway",
    "EXCEPTION_HANDLER": "voicehelper.api.views.write_error",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "VoiceHelper",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "PREPROCESSING_HOOKS": ["voicehelper.api.document.without_operators"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "voicehelper.api.document.with_registered",
    ],
    "APPEND_COMPONENTS": {"securitySchemes": {"ApiKey": {"type": "http", "scheme": "bearer"}}},
}

LOG_FORMAT: str = env.str("LOG_FORMAT", default="line")
if LOG_FORMAT not in {"line", "json"}:
    raise ImproperlyConfigured(f"LOG_FORMAT is {LOG_FORMAT!r}: use line or json.")
LOGGING = log_lines.logging_of(LOG_FORMAT, env.str("LOG_LEVEL", default="INFO"))

UNFOLD = admin_theme.UNFOLD
