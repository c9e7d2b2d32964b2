"""Pages: the catalogue of models that a project may call, their prices, and files of them. Owners change it."""

import json
from datetime import UTC, date, datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from agentopt.lib import htmx
from agentopt.lib.errors import AgentOptError, Invalid
from ingestion.catalog import documents, editing, listing, offers, public
from ingestion.catalog.loader import RATES
from ingestion.forms.catalog import AbilitiesForm, FileForm, ModelForm, OutlookForm, PriceForm
from ingestion.models import ModelOffer
from projects import access
from projects.models import Project, Role

SHOWN = 200


@require_safe
def catalog(request: HttpRequest, slug: str) -> HttpResponse:
    """The models with what holds today, and those in the logs without a price."""
    project = access.project_for(request.user, slug)
    words = request.GET.get("q", "")[:200].replace("\x00", "")
    rows = listing.rows(project, today=_today(), words=words)
    context = {"rows": rows[:SHOWN], "n_rows": len(rows), "words": words, "missing": listing.missing(project)}
    return _page(request, project, "catalog", context, part="results")


def add(request: HttpRequest, slug: str) -> HttpResponse:
    """Add a model; the address may name one that the logs have, then its price is what lacks."""
    project = _owned(request, slug)
    form = ModelForm(request.POST if request.method == "POST" else None, initial=_prefilled(request, project))
    if request.method == "POST" and form.is_valid():
        try:
            given = form.cleaned_data
            offer = editing.add_model(project, form.entry(), source=given["source"], by=access.person(request.user))
        except AgentOptError as error:
            htmx.refuse(form, error)
        else:
            messages.success(request, f"{offer.name} is in the catalogue.")
            return htmx.redirect(request, "ingestion:catalog", slug)
    return _page(request, project, "catalog_add", {"form": form}, status=422 if form.errors else 200)


def _prefilled(request: HttpRequest, project: Project) -> dict[str, Any]:
    """What the address names, with public figures where there are some."""
    provider, model = (request.GET.get(name, "").replace("\x00", "")[:120] for name in ("provider", "model"))
    given: dict[str, Any] = {
        "name": model,
        "provider": provider[:60],
        "model": model,
        "valid_from": _first_day(request),
    }
    found = public.look_up(provider, model, _today()) if model else None
    if found is not None and offers.find(project, provider, model) is None:
        newest = found.prices[-1]
        rates = {name: getattr(newest, f"{name}_usd_per_m") for name in RATES}
        given |= {**rates, "source": newest.source}
    return given


def model(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One model: prices by day, abilities, outlook; an owner adds to them."""
    project = access.project_for(request.user, slug, role=Role.OWNER if request.method == "POST" else Role.READER)
    offer = get_object_or_404(offers.visible(project), pk=pk)
    row = listing.row(project, offer, today=_today())
    what = request.POST.get("what") if request.method == "POST" else None
    price = PriceForm(_if(request, what == "price"), initial=PriceForm.initial_of(row.price, day=_first_day(request)))
    able = AbilitiesForm(_if(request, what == "abilities"), initial=AbilitiesForm.initial_of(row.able, day=_today()))
    outlook = OutlookForm(_if(request, what == "outlook"), initial=OutlookForm.initial_of(offer))
    forms: dict[str, PriceForm | AbilitiesForm | OutlookForm] = {"price": price, "abilities": able, "outlook": outlook}
    asked = forms.get(what or "")
    if asked is not None and asked.is_valid():
        try:
            own = _change(request, project, offer, asked)
        except AgentOptError as error:
            htmx.refuse(asked, error)
        else:
            messages.success(request, f"{own.name} is changed. What was stored before stays as it was.")
            return htmx.redirect(request, "ingestion:catalog-model", slug, own.pk)
    context = {
        "row": row, "offer": offer, "price": price, "able": able, "outlook": outlook,
        "prices": offer.prices.order_by("-valid_from", "-revision"),
        "versions": offer.versions.order_by("-valid_from", "-revision"),
    }  # fmt: skip
    return _page(request, project, "catalog_model", context, status=422 if asked is not None and asked.errors else 200)


def _change(
    request: HttpRequest, project: Project, offer: ModelOffer, form: PriceForm | AbilitiesForm | OutlookForm
) -> ModelOffer:
    given, by = form.cleaned_data, access.person(request.user)
    if isinstance(form, PriceForm):
        correct = given["correct"]
        return editing.add_price(project, offer, form.entry(), source=given["source"], by=by, correct=correct)
    if isinstance(form, AbilitiesForm):
        told = form.given()
        return editing.set_abilities(project, offer, told, since=given["since"], source=given["source"], by=by)
    return editing.set_outlook(
        project, offer, family=given["family"], retires_on=given["retires_on"], source=given["source"], by=by
    )


@require_POST
def refresh(request: HttpRequest, slug: str) -> HttpResponse:
    """Bring prices and abilities up to the public figures of this release."""
    project = _owned(request, slug)
    n = editing.refresh(project, today=_today(), by=access.person(request.user))
    said = f"{n} model{'' if n == 1 else 's'} changed." if n else "Nothing is newer than what is here."
    messages.success(request, said)
    return htmx.redirect(request, "ingestion:catalog", slug)


def take(request: HttpRequest, slug: str) -> HttpResponse:
    """Add a file to the catalogue: the first answer says what it would add, the confirmed one adds it."""
    project = _owned(request, slug)
    form = FileForm(request.POST if request.method == "POST" else None, request.FILES or None)
    context: dict[str, Any] = {"form": form}
    if request.method == "POST" and form.is_valid():
        try:
            text = _text(form)
            confirm = request.POST.get("confirm") == "yes"
            found = documents.take(project, text, by=access.person(request.user), today=_today(), confirm=confirm)
        except AgentOptError as error:
            htmx.refuse(form, error)
        else:
            if confirm:
                messages.success(
                    request, f"Added: models {found.offers}, abilities {found.versions}, prices {found.prices}."
                )
                return htmx.redirect(request, "ingestion:catalog", slug)
            context |= {"found": found, "text": text}
    return _page(request, project, "catalog_import", context, status=422 if form.errors else 200)


def _text(form: FileForm) -> str:
    file = form.cleaned_data["file"]
    if file is None:
        return str(form.cleaned_data["text"])
    if file.size > documents.MAX_CHARACTERS:
        raise Invalid("The file is too large.", fields={"file": "Expected 2 MB at most."})
    try:
        return str(file.read().decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Invalid("The file is no text.", fields={"file": "Expected UTF-8."}) from error


@require_safe
def export(request: HttpRequest, slug: str) -> HttpResponse:
    """The catalogue as a file; `as=csv` as a table."""
    project = access.project_for(request.user, slug)
    kind = "csv" if request.GET.get("as") == "csv" else "json"
    text = documents.as_csv(project) if kind == "csv" else json.dumps(documents.as_json(project), indent=2)
    response = HttpResponse(text, content_type={"csv": "text/csv; charset=utf-8", "json": "application/json"}[kind])
    response["Content-Disposition"] = f'attachment; filename="{slug}-catalog.{kind}"'
    return response


# ------------------------------------------------------------------------------------------------ shared
def _owned(request: HttpRequest, slug: str) -> Project:
    return access.project_for(request.user, slug, role=Role.OWNER)


def _today() -> date:
    return timezone.now().astimezone(UTC).date()


def _first_day(request: HttpRequest) -> date:
    """The day from which a price is asked for: that of the first call, where the address names it."""
    try:
        return datetime.fromisoformat(request.GET.get("from", "")).date()
    except ValueError:
        return _today()


def _if(request: HttpRequest, chosen: bool) -> Any:  # noqa: FBT001
    return request.POST if chosen else None


def _page(
    request: HttpRequest,
    project: Project,
    name: str,
    context: dict[str, Any],
    *,
    part: str | None = None,
    status: int = 200,
) -> HttpResponse:
    may_own = access.may(request.user, project, Role.OWNER)
    shared = {"project": project, "section": "catalog", "may_own": may_own, "unrecorded": public.SINCE}
    return htmx.render(request, f"ingestion/{name}.html", {**shared, **context}, part=part, status=status)
