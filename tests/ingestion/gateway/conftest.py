"""Waits between attempts are short here, except where a test is about them."""

import pytest

from ingestion.gateway import patience


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "WAIT_INITIAL_S", 0.01)
    monkeypatch.setattr(patience, "WAIT_MAX_S", 0.02)
    monkeypatch.setattr(patience, "WAIT_JITTER_S", 0.0)
