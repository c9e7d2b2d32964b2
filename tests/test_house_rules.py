"""Rules of the house that no tool knows."""

import ast
import re
import subprocess
import sys
from pathlib import Path

from django.apps import apps

ROOT = Path(__file__).resolve().parent.parent
ORDER = ["projects", "ingestion", "evaluation", "recommendations"]
PURE = """
    projects/values.py ingestion/values.py ingestion/privacy.py ingestion/hashing.py ingestion/tally.py
    ingestion/refusals.py ingestion/formats/*.py ingestion/containers/*.py
    ingestion/catalog/pricing.py ingestion/gateway/base.py ingestion/gateway/errors.py ingestion/analytics/requests.py
