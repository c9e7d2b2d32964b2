"""Pages of notices: the channels of a project, what each gets, a test, and what arrived."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_POST

from agentopt.lib import drf, htmx
from agentopt.lib.errors import AgentOptError
from projects import sections, selectors
from projects.forms import ChannelForm, NewChannelForm
from projects.models import Channel, NoticeDelivery
from projects.notifications import addresses, outbox
from projects.notifications.channels import has_mail
from projects.notifications.kinds import KINDS

_PAGE = 25


def notices(request: HttpRequest, slug: str) -> HttpResponse:
    """Channels, a form for a new one, and the log of deliveries; the key of a new signed webhook is shown here only."""
    project = sections.owned(request, slug)
    form = NewChannelForm(sections.given(request))
    added = None
    if request.method == "POST" and form.is_valid():
        try:
            zone = sections.person(request).timezone
            added = addresses.add(project, by=sections.person(request), timezone=zone, **form.cleaned_data)
            form = NewChannelForm()
        except AgentOptError as error:
            htmx.refuse(form, error)
    page = drf.page_of(selectors.deliveries_of(project), key="pk", after=request.GET.get("after"), limit=_PAGE)
    return sections.section(
        request, project, "notices", form=form, added=added, page=page, after=request.GET.get("after"),
        channels=[(one, addresses.where(one)) for one in selectors.channels_of(project)], has_mail=has_mail(),
        titles={name: kind.title for name, kind in KINDS.items()},
    )  # fmt: skip


def channel(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One channel: what it gets, when, and where it leads."""
    project = sections.owned(request, slug)
    row = get_object_or_404(project.channels, pk=pk)
    form = ChannelForm(sections.given(request), initial=ChannelForm.initial_of(row))
    if request.method == "POST" and form.is_valid():
        try:
            addresses.change(row, form.changes(), by=sections.person(request))
        except AgentOptError as error:
            htmx.refuse(form, error)
            row.refresh_from_db()
        else:
            return sections.saved(request, f"{row.name} is saved.", "projects:notices", slug)
    return sections.section(request, project, "channel", form=form, channel=row, where=addresses.where(row))


@require_POST
def test_channel(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Send a test notice to a channel and say how it went."""
    row = _channel(request, slug, pk)
    delivery = outbox.send_test(row, now=timezone.now)
    if delivery.state == NoticeDelivery.State.SENT:
        messages.success(request, f"The test went out to {row.name}.")
    else:
        messages.error(request, f"The test did not reach {row.name}. {delivery.error}")
    return htmx.redirect(request, "projects:notices", slug)


@require_POST
def remove_channel(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Remove a channel."""
    row = _channel(request, slug, pk)
    addresses.remove(row, by=sections.person(request))
    return sections.saved(request, f"{row.name} is removed.", "projects:notices", slug)


@require_POST
def renew_channel(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Give a signed webhook a new key, shown on this answer only."""
    row = _channel(request, slug, pk)
    secret = addresses.renew_secret(row, by=sections.person(request))
    form = ChannelForm(initial=ChannelForm.initial_of(row))
    where = addresses.where(row)
    return sections.section(request, row.project, "channel", form=form, channel=row, where=where, secret=secret)


@require_POST
def send_again(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Have a failed delivery tried anew."""
    project = sections.owned(request, slug)
    delivery = get_object_or_404(selectors.deliveries_of(project), pk=pk)
    outbox.again(delivery, now=timezone.now())
    return sections.saved(request, "It is on its way again.", "projects:notices", slug)


def _channel(request: HttpRequest, slug: str, pk: int) -> Channel:
    project = sections.owned(request, slug)
    row: Channel = get_object_or_404(project.channels.select_related("project"), pk=pk)
    return row
