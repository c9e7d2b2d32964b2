"""Questions about logs: a closed vocabulary in, exact figures out; `answer` and `summary` are the ways to ask."""

from ingestion.analytics.engine import answer
from ingestion.analytics.requests import AnalyticsRequest, read, schema
from ingestion.analytics.summaries import Slice, Summary, summary

__all__ = ["AnalyticsRequest", "Slice", "Summary", "answer", "read", "schema", "summary"]
