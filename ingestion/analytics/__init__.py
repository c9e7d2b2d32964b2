"""Questions about logs: a closed vocabulary in, figures out; `answer` and `summary` are the ways to ask."""

from ingestion.analytics.budget import cancel
from ingestion.analytics.cache import forget
from ingestion.analytics.engine import answer, answer_each, canonical
from ingestion.analytics.requests import AnalyticsRequest, read, schema
from ingestion.analytics.summaries import Slice, Summary, summary

__all__ = [
    "AnalyticsRequest", "Slice", "Summary", "answer", "answer_each", "cancel", "canonical", "forget", "read", "schema",
    "summary",
]  # fmt: skip
