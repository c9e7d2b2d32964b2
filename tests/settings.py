"""The real settings, minus workers, mail, network and slow hashing.

Each process has a data folder, and so a SQLite file, of its own.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_folder = tempfile.mkdtemp(prefix="agentopt-test-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
os.environ |= {
    "OPENBLAS_NUM_THREADS": "1",  # its second thread only spins, and the cores are shared by the test processes
    "AGENTOPT_ENV_FILE": os.devnull,
    "DATA_DIR": _folder,
    "SECRET_KEY": "tests-only-secret-key",
    "PORTKEY_BASE_URL": "",
    "PORTKEY_API_KEY": "",
    "ALLOW_PRIVATE_ADDRESSES": "true",
}

from agentopt.settings import *  # noqa: E402, F403
from agentopt.settings import DATABASES, Q_CLUSTER, REST_FRAMEWORK  # noqa: E402

# a file, not memory: a real cluster of workers and the threads of the live server must see it
if "sqlite" in DATABASES["default"]["ENGINE"]:
    DATABASES["default"]["TEST"] = {"NAME": str(Path(_folder) / "test.sqlite3")}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
ALLOWED_HOSTS = ["*"]
Q_CLUSTER = {**Q_CLUSTER, "sync": True}
REST_FRAMEWORK = {**REST_FRAMEWORK, "DEFAULT_THROTTLE_CLASSES": []}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
ACCOUNT_RATE_LIMITS = False
