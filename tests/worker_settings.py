"""Settings of the workers that tests/projects/test_supervisor.py starts: its database, and a job of its own."""

import os
from pathlib import Path

from agentopt.schedules import JOBS, SCHEDULES, JobKind, Schedule
from tests import settings as _base
from tests.settings import *  # noqa: F403

JOBS["counting"] = JobKind("tests.projects.counting.count", "Counting")
SCHEDULES["counting"] = Schedule("counting", "Counting", "counts", cron="0 3 29 2 *")  # comes only when a test says so
DATABASES = {"default": {**_base.DATABASES["default"], "NAME": os.environ["TEST_DATABASE_NAME"]}}
# all processes of a cluster, and its supervisor, read one status
CACHES = {**_base.CACHES, "qcluster": {**_base.CACHES["qcluster"], "LOCATION": os.environ["TEST_STATUS_FOLDER"]}}
Q_CLUSTER = {**_base.Q_CLUSTER, "sync": False}
DATA_DIR = Path(os.environ.get("TEST_DATA_DIR", str(_base.DATA_DIR)))
