"""A notice in words: subject, text, HTML, and the body that programs get."""

from dataclasses import dataclass
from datetime import UTC
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.template.loader import render_to_string

from projects.models import Notice, NoticeDelivery
from projects.notifications.kinds import KINDS

ITEMS = 100  # that a daily letter tells; the rest are counted


@dataclass(frozen=True)
class Letter:
    """What is sent: to people as subject, text and HTML, to programs as `body`."""

    subject: str
    text: str
    html: str
    body: dict[str, Any]


def write(delivery: NoticeDelivery) -> Letter:
    """The letter of a delivery: the same at each try."""
    notice = delivery.notice
    context = {**told(notice), "items": [], "more": 0}
    if notice.kind == "digest":
        parts = delivery.parts.select_related("notice__project").order_by("notice__created_at", "pk")
        count = parts.count()
        context |= {
            "items": [told(part.notice) for part in parts[:ITEMS]], "more": max(0, count - ITEMS), "count": count,
        }  # fmt: skip
    subject, text, html = (
        render_to_string(f"emails/{notice.kind}.{end}", context) for end in ("subject.txt", "txt", "html")
    )
    body = {
        "id": delivery.key, "kind": notice.kind, "at": notice.created_at.astimezone(UTC).isoformat(),
        "project": {"id": notice.project_id, "slug": notice.project.slug, "name": notice.project.name},
        **_figures(notice), "url": context["url"],
    }  # fmt: skip
    if context["items"]:
        body["notices"] = [{name: item[name] for name in ("kind", "sentence", "url")} for item in context["items"]]
    return Letter(" ".join(subject.split()), f"{text.strip()}\n", html, body)


def told(notice: Notice) -> dict[str, Any]:
    """A notice as templates take it."""
    figures = {name: value for name, value in _figures(notice).items() if name != "sentence"}
    return {
        **notice.context, "kind": notice.kind, "title": KINDS[notice.kind].title, "project": notice.project,
        "at": notice.created_at, "url": address(notice.context.get("path", "/")), "figures": figures,
    }  # fmt: skip


def address(path: str) -> str:
    """An address of this site as people open it from elsewhere."""
    return f"{settings.PUBLIC_URL}{path}"


def host() -> str:
    """The name this site is known by."""
    return urlsplit(settings.PUBLIC_URL).hostname or "localhost"


def _figures(notice: Notice) -> dict[str, Any]:
    return {name: value for name, value in notice.context.items() if name != "path"}
