"""Logs, what is read out of them, and the catalogue of models and prices."""

from ingestion.models.analytics import AnalyticsEntry, AnalyticsRun
from ingestion.models.catalog import ModelOffer, OfferVersion, Price
from ingestion.models.logs import Batch, LogBody, LogRecord, LogRecordQuerySet, SetAside, SyncRun, Trace
from ingestion.models.privacy import Removal, RemovedBody
from ingestion.models.rollups import DirtyHour, Rollup, RollupState
from ingestion.models.usecases import UseCase, UseCaseAssignment, UseCaseFit
from ingestion.models.views import SavedView

__all__ = [
    "AnalyticsEntry",
    "AnalyticsRun",
    "Batch",
    "DirtyHour",
    "LogBody",
    "LogRecord",
    "LogRecordQuerySet",
    "ModelOffer",
    "OfferVersion",
    "Price",
    "Removal",
    "RemovedBody",
    "Rollup",
    "RollupState",
    "SavedView",
    "SetAside",
    "SyncRun",
    "Trace",
    "UseCase",
    "UseCaseAssignment",
    "UseCaseFit",
]
