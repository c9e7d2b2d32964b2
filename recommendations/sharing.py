"""Links that show one recommendation to people without an account: they end, can be ended, and are kept as a hash."""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from agentopt.lib.errors import Invalid, NotFound
from projects import audit
from projects.models import User
from recommendations.models import Recommendation, ShareLink

DEFAULT_DAYS, MOST_DAYS = 7, 90
MOST_OPEN = 20  # links of one recommendation that have not ended
GONE = "This link does not exist, has ended or was revoked. Ask the person who sent it for a new one."


@dataclass(frozen=True)
class Shared:
    """A new link; `secret` exists only here."""

    link: ShareLink
    secret: str = field(repr=False)


def share(recommendation: Recommendation, *, days: int, shows_prompts: bool, by: User | None, now: datetime) -> Shared:
    """Make a link that ends after so many days. Whoever has it sees the figures; prompts only if it shows them.

    Raises:
        Invalid: a length out of bounds, or too many links are open.
    """
    if not 1 <= days <= MOST_DAYS:
        raise Invalid("A link needs an end.", fields={"days": f"Expected 1 to {MOST_DAYS}."})
    if recommendation.share_links.filter(revoked_at=None, expires_at__gt=now).count() >= MOST_OPEN:
        raise Invalid("Too many links are open: revoke one first.", fields={"days": f"At most {MOST_OPEN} are open."})
    secret = secrets.token_urlsafe(32)
    with transaction.atomic():
        link = ShareLink.objects.create(
            recommendation=recommendation, digest=_digest(secret), shows_prompts=shows_prompts, created_by=by,
            created_at=now, expires_at=now + timedelta(days=days),
        )  # fmt: skip
        after = {"link": link.pk, "until": link.expires_at.isoformat(), "shows_prompts": shows_prompts}
        audit.record(
            recommendation.project, by, "recommendation.share", f"recommendation {recommendation.pk}", after=after
        )
    return Shared(link, secret)


def revoke(link: ShareLink, *, by: User | None, now: datetime) -> None:
    """End a link at once; a second time changes nothing."""
    with transaction.atomic():
        if ShareLink.objects.filter(pk=link.pk, revoked_at=None).update(revoked_at=now):
            about = link.recommendation
            audit.record(
                about.project, by, "recommendation.unshare", f"recommendation {about.pk}", before={"link": link.pk}
            )


def open_link(secret: str, *, now: datetime) -> ShareLink:
    """The link that a secret opens, and note that it was opened.

    Raises:
        NotFound: there is none, it has ended, or it was revoked: all three say the same.
    """
    found = ShareLink.objects.filter(digest=_digest(secret), revoked_at=None, expires_at__gt=now)
    link = found.select_related("recommendation__project", "recommendation__evaluation").first()
    if link is None:
        raise NotFound(GONE)
    found.update(opened=F("opened") + 1, last_opened_at=now)
    return link


def _digest(secret: str) -> str:
    """Plain SHA-256: a random secret of 256 bits cannot be guessed, so a slow hash would only cost time."""
    return hashlib.sha256(secret.encode()).hexdigest()
