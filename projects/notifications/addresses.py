"""Channels of a project: add, change, remove, and a fresh key for signatures. All of it is in the audit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from agentopt.lib.errors import Conflict, Invalid
from projects import audit
from projects.destinations import checked_url
from projects.models import Channel, NoticeDelivery, Project, User
from projects.notifications.channels import new_secret
from projects.notifications.kinds import CHOSEN, KINDS, WHEN

MOST = 50
_PLAIN = ("name", "enabled", "wants", "quiet_from", "quiet_until", "timezone")


@dataclass(frozen=True)
class Added:
    """A new channel; `secret` signs what is sent to a signed webhook, and is shown this once."""

    channel: Channel
    secret: str = field(repr=False)


def add(project: Project, *, form: str, name: str, address: str, by: User | None, **settings: Any) -> Added:
    """Add a channel.

    Args:
        settings: as `change` takes them.

    Raises:
        Invalid: an unknown form, or an address, name or setting that makes no sense. Conflict: the name is taken.
    """
    if form not in Channel.Form.values:
        raise Invalid("There is no such channel.", fields={"form": f"Expected {', '.join(Channel.Form.values)}."})
    if project.channels.count() >= MOST:
        raise Conflict(f"A project has {MOST} channels at most: remove one first.")
    secret = new_secret() if form == Channel.Form.WEBHOOK else ""
    channel = Channel(project=project, form=form, address=_address(form, address), secret=secret, created_by=by)
    for key, value in _checked({"name": name, **settings}).items():
        setattr(channel, key, value)
    with transaction.atomic():
        _save(channel)
        audit.record(project, by, "channel.add", channel.name, after={"form": form, "to": where(channel)})
    return Added(channel, secret)


def change(channel: Channel, changes: Mapping[str, Any], *, by: User | None) -> Channel:
    """Change `name`, `address`, `enabled`, `wants` ({kind: now, digest or off}), `quiet_from` and `quiet_until` (times,
    both or neither) and `timezone`; what is absent stays.

    Raises:
        Invalid: a value makes no sense. Conflict: the name is taken.
    """
    given = dict(changes)
    address = given.pop("address", None)
    for name in ("quiet_from", "quiet_until"):
        given.setdefault(name, getattr(channel, name))
    clean = _checked(given)
    before = {name: getattr(channel, name) for name in clean if getattr(channel, name) != clean[name]}
    if address is not None and (fresh := _address(channel.form, address)) != channel.address:
        before["to"] = where(channel)
        channel.address, channel.failing_since = fresh, None
    if not before:
        return channel
    for name in before.keys() - {"to"}:
        setattr(channel, name, clean[name])
    with transaction.atomic():
        _save(channel)
        after = {name: where(channel) if name == "to" else clean[name] for name in before}
        audit.record(channel.project, by, "channel.change", channel.name, before=_json(before), after=_json(after))
    return channel


def remove(channel: Channel, *, by: User | None) -> None:
    """Remove a channel; what was on its way to it is dropped, and the log of deliveries stays."""
    waiting = (NoticeDelivery.State.WAITING, NoticeDelivery.State.FOR_DIGEST)
    with transaction.atomic():
        channel.deliveries.filter(state__in=waiting).update(
            state=NoticeDelivery.State.DROPPED, error="The channel was removed."
        )
        audit.record(channel.project, by, "channel.remove", channel.name, before={"to": where(channel)})
        channel.delete()


def renew_secret(channel: Channel, *, by: User | None) -> str:
    """Give a signed webhook a new key and return it; the old one signs nothing from now on.

    Raises:
        Conflict: the channel signs nothing.
    """
    if channel.form != Channel.Form.WEBHOOK:
        raise Conflict("Only a signed webhook has a key.")
    channel.secret = new_secret()
    with transaction.atomic():
        channel.save(update_fields=["secret"])
        audit.record(channel.project, by, "channel.renew", channel.name)
    return str(channel.secret)


def leave(project: Project, email: str, *, by: User | None) -> None:
    """Remove the e-mail channels of a person who is no member any more."""
    for channel in project.channels.filter(form=Channel.Form.EMAIL):
        if channel.address.lower() == email.lower():
            remove(channel, by=by)


def where(channel: Channel) -> str:
    """Where a channel leads, as it is shown: addresses of webhooks are secrets, so only their host and last letters."""
    if channel.form == Channel.Form.EMAIL:
        return str(channel.address)
    parts = urlsplit(channel.address)
    return f"{parts.scheme}://{parts.netloc}/…{channel.address[-4:]}"


def _save(channel: Channel) -> None:
    try:
        with transaction.atomic():
            channel.save()
    except IntegrityError as error:
        raise Conflict("There is a channel of this name.", fields={"name": "Expected a name of its own."}) from error


def _json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, time) else value for name, value in values.items()}


# ------------------------------------------------------------------------------------------------ checks
def _address(form: str, text: str) -> str:
    text = text.strip()
    if form != Channel.Form.EMAIL:
        return checked_url(text, field="address", keeps_query=True)
    try:
        validate_email(text)
    except ValidationError as error:
        raise Invalid("That is no e-mail address.", fields={"address": "Expected an e-mail address."}) from error
    return text


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    wrong: dict[str, str] = {name: "There is no such setting." for name in given if name not in _PLAIN}
    clean = dict(given)
    if "name" in clean:
        clean["name"] = " ".join(str(clean["name"]).split())
        if not 0 < len(clean["name"]) <= 80:
            wrong["name"] = "Expected 1 to 80 characters."
    if not isinstance(clean.get("enabled", True), bool):
        wrong["enabled"] = "Expected true or false."
    if "wants" in clean and not _is_choice(clean["wants"]):
        wrong["wants"] = f"Expected {{kind: {', '.join(WHEN)}}} with kinds {', '.join(CHOSEN)}."
    if (clean.get("quiet_from") is None) != (clean.get("quiet_until") is None):
        wrong["quiet_until"] = "Quiet hours need a beginning and an end."
    elif clean.get("quiet_from") is not None and clean["quiet_from"] == clean["quiet_until"]:
        wrong["quiet_until"] = "Expected another time than the beginning."
    if "timezone" in clean and not _is_zone(clean["timezone"]):
        wrong["timezone"] = "Expected a time zone such as Europe/Berlin."
    if wrong:
        raise Invalid("The channel does not make sense.", fields=wrong)
    return clean


def _is_choice(wants: Any) -> bool:
    return isinstance(wants, Mapping) and all(kind in CHOSEN and when in WHEN for kind, when in wants.items())


def _is_zone(name: Any) -> bool:
    try:
        ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def choices_of(channel: Channel) -> dict[str, str]:
    """When a channel gets each kind, its own choices and the kinds' own."""
    return {kind: str(channel.wants.get(kind) or KINDS[kind].when) for kind in CHOSEN}
