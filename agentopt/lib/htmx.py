"""Page-or-partial rendering, redirect, errors as pages and as fields of a form."""

import sys
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from django.conf import settings
from django.db import Error
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render as render_page
from django.shortcuts import resolve_url
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect

from agentopt.lib import database
from agentopt.lib.errors import AgentOptError

log = structlog.get_logger(__name__)
ERROR_PAGES = {403: "403.html", 404: "404.html"}


def wants_part(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of the page, and not for the page itself."""
    found: Any = getattr(request, "htmx", None)
    return bool(found) and not found.boosted and not found.history_restore_request


def render(
    request: HttpRequest, template: str, context: Mapping[str, Any], *, part: str | None = None, status: int = 200
) -> HttpResponse:
    """Render a page, or its named partial where htmx asks for one."""
    name = f"{template}#{part}" if part and wants_part(request) else template
    return render_page(request, name, dict(context), status=status)


def redirect(request: HttpRequest, to: Any, *args: Any) -> HttpResponse:
    """Go to a page, a name of a route or an object: as a whole page, also after a request of htmx."""
    url = resolve_url(to, *args)
    return HttpResponseClientRedirect(url) if getattr(request, "htmx", False) else HttpResponseRedirect(url, status=303)


def refuse(form: BaseForm, error: AgentOptError) -> None:
    """Put the refusal of a service beside the fields it concerns; what concerns no field stands above."""
    known = {name: text for name, text in error.fields.items() if name in form.fields}
    for name, text in known.items():
        form.add_error(name, text)
    if not known or len(known) < len(error.fields):
        form.add_error(None, error.message)


class PageMiddleware:
    """What every page needs: errors with the way out, the person's zone, and answers that no cache mixes up."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        zone = getattr(request.user, "timezone", "UTC") if request.user.is_authenticated else "UTC"
        try:
            timezone.activate(ZoneInfo(str(zone)))
        except (ZoneInfoNotFoundError, ValueError):
            timezone.activate(ZoneInfo("UTC"))
        response = self.get_response(request)
        if response.get("Content-Type", "").startswith("text/html"):
            patch_vary_headers(response, ["HX-Request"])  # the same address serves pages and parts
            if not response.has_header("Cache-Control"):
                response["Cache-Control"] = "private, no-store"  # pages hold prompts
        return _whole_page_sign_in(request, response)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Turn a refusal into its page; the API has turned its own into JSON before."""
        if not isinstance(error, AgentOptError):
            return None
        return problem(request, error)


def problem(request: HttpRequest, error: AgentOptError) -> HttpResponse:
    """The page of a refusal: what is wrong and the way out."""
    status = error.status if error.status in (400, 403, 404, 409, 413, 422, 429) else 502
    if status == 502:
        log.warning("page_failed", code=error.code)
    template = ERROR_PAGES.get(status, "problem.html")
    # an address that only takes POST cannot be opened again; the page it was sent from can
    back = (
        request.get_full_path() if request.method == "GET" else _own_path(request, request.headers.get("Referer", ""))
    )
    context = {"error": error, "status": status, "back": back}
    return render_page(request, template, context, status=status)


def server_error(request: HttpRequest) -> HttpResponse:
    """The page of an unexpected failure, with a number to find it in the log by, or of a database that is not ready.

    Called while the failure is handled.
    """
    error = sys.exc_info()[1]
    says = database.trouble(error) if isinstance(error, Error) else None
    number = uuid.uuid4().hex[:12]
    log.error("page_crashed", number=number, path=request.path, says=says)
    if request.path.startswith("/api/"):  # it broke before the API was reached, in what reads the session
        body = {"code": "unavailable" if says else "internal", "message": says or f"An error of our own: {number}."}
        return JsonResponse({"error": {**body, "fields": {}}}, status=503 if says else 500)
    # without the request: whatever broke may be what the frame asks for
    page = render_to_string("500.html", {"number": number, "says": says})
    return HttpResponse(page, status=503 if says else 500)


def _whole_page_sign_in(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """After the end of a session htmx would swap the sign-in form into a corner; go there as a whole page instead."""
    login = resolve_url(settings.LOGIN_URL)
    if not getattr(request, "htmx", False) or urlsplit(response.get("Location", "")).path != login:
        return response
    back = _own_path(request, request.headers.get("HX-Current-URL", ""))  # the page, not the part that was asked for
    return HttpResponseClientRedirect(f"{login}?{urlencode({'next': back})}" if back else login)


def _own_path(request: HttpRequest, url: str) -> str:
    """Path and query of an address of this site; "" for any other."""
    if not url or not url_has_allowed_host_and_scheme(url, allowed_hosts={request.get_host()}):
        return ""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
