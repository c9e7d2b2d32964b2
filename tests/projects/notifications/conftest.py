"""Receivers and channels for every test of notices."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django import Settings

from projects.models import Channel, Project
from projects.notifications import addresses
from tests.projects.notifications.receivers import Post, Receiver, http_receiver, smtp_server


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as found:
        yield found


@pytest.fixture
def post(settings: Settings) -> Iterator[Post]:
    """A real SMTP server, and settings that send mail to it."""
    with smtp_server() as found:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", found.port
        yield found


@pytest.fixture
def channel(project: Project) -> Callable[..., Channel]:
    """Add a channel to the project."""

    def make(form: str, address: str, **given: Any) -> Channel:
        return addresses.add(
            project, form=form, name=given.pop("name", form), address=address, by=None, **given
        ).channel

    return make
