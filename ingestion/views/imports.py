"""Pages about taking files in: the upload with its preview, rows set aside, and what the logs lack."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
from django.conf import settings
from django.contrib import messages
from django.core.files.uploadhandler import FileUploadHandler, MemoryFileUploadHandler, TemporaryFileUploadHandler
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_safe

from agentopt.lib import htmx
from agentopt.lib.errors import AgentOptError, Invalid, TooLarge
from ingestion import coverage, imports, selectors
from ingestion.forms import imports as forms
from ingestion.forms.logs import RANGES
from ingestion.models import SetAside
from projects import access
from projects.models import Privacy, Project, Role

SPARE_BYTES = 512 * 1024 * 1024
ASIDE_ROWS = 50


class _InMemory(MemoryFileUploadHandler):
    """Keeps a file in memory whatever its size: what may not be stored raw must not lie on disk either."""

    def handle_raw_input(self, *_args: Any, **_kwargs: Any) -> None:
        self.activated = True


@csrf_exempt  # the project says where an upload may lie, before anything reads the body: the check follows within
@require_http_methods(["GET", "HEAD", "POST"])
def import_file(request: HttpRequest, slug: str) -> HttpResponse:
    """The form; POST with `preview` shows the first rows, without it takes the file in."""
    if request.method != "POST":
        project = access.project_for(request.user, slug, role=Role.MEMBER)
        return _page(request, project, forms.ImportForm())
    if request.user.is_authenticated:
        project = access.project_for(request.user, slug, role=Role.MEMBER)
        _check_size(request, project)
        request.upload_handlers = [_handler(request, project)]
    response: HttpResponse = csrf_protect(_take)(request, slug)
    return response


def _take(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.MEMBER)
    form = forms.ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, project, form, status=422)
    upload, chosen = form.cleaned_data["file"], form.cleaned_data["format"] or None
    name = imports.label(project, str(upload.name or "upload"))
    stream: Any = upload.file
    try:
        if "preview" in request.POST:
            seen = imports.preview(project, stream, name=name, format=chosen, cut="cut" in request.POST)
            return _page(request, project, form, seen=seen, name=name)
        found = imports.import_upload(project, stream, name=name, format=chosen)
    except AgentOptError as error:
        form.add_error("format" if "format" in error.fields else "file", error.message)
        return _page(request, project, form, status=422)
    counts = f"{found.added:,} calls added, {found.already_there:,} there already, {found.set_aside:,} rows set aside"
    (messages.warning if found.set_aside else messages.success)(request, f"{name}: {counts}.")
    return htmx.redirect(request, "ingestion:set-aside" if found.set_aside else "ingestion:logs", slug)


def _handler(request: HttpRequest, project: Project) -> FileUploadHandler:
    # as for downloads: redaction comes before anything is written, so only `full` may lie on disk
    return TemporaryFileUploadHandler(request) if project.privacy == Privacy.FULL else _InMemory(request)


def _check_size(request: HttpRequest, project: Project) -> None:
    """Refuse a file before it is read.

    Raises:
        TooLarge: it is larger than is taken here, or than what the disk has left.
    """
    size = int(request.META.get("CONTENT_LENGTH") or 0)
    limit = settings.MAX_UPLOAD_MB if project.privacy == Privacy.FULL else settings.MAX_UPLOAD_IN_MEMORY_MB
    if size > limit * 1024**2:
        raise TooLarge(
            f"The file is larger than the {limit} MB that are taken here. Use the command: "
            f"python manage.py import_logs {project.slug} FILE, which has no limit."
        )
    if size > shutil.disk_usage(settings.DATA_DIR).free - SPARE_BYTES:
        raise TooLarge("The disk has too little room left for this file.")


def _page(
    request: HttpRequest,
    project: Project,
    form: forms.ImportForm,
    *,
    seen: imports.Preview | None = None,
    name: str = "",
    status: int = 200,
) -> HttpResponse:
    context = {
        "project": project,
        "form": form,
        "seen": seen,
        "name": name,
        "format": forms.NAMES.get(seen.format, seen.format) if seen else "",
        "limit_mb": settings.MAX_UPLOAD_MB if project.privacy == Privacy.FULL else settings.MAX_UPLOAD_IN_MEMORY_MB,
        "simulated": project.connection.simulated,
    }
    return htmx.render(request, "ingestion/import.html", context, part="preview", status=status)


# ------------------------------------------------------------------------------------------------ set aside
@require_safe
def set_aside(request: HttpRequest, slug: str) -> HttpResponse:
    """Rows that could not be read, the newest first; `format=jsonl` is all of them as a file."""
    project = access.project_for(request.user, slug)
    rows = selectors.rows_set_aside(project)
    if request.GET.get("format") == "jsonl":
        response = StreamingHttpResponse(_aside_lines(project), content_type="application/x-ndjson")
        response["Content-Disposition"] = f'attachment; filename="{slug}-set-aside.jsonl"'
        return response  # type: ignore[return-value]
    after = request.GET.get("after", "")
    if after:
        if not after.isdigit() or len(after) > 18:
            raise Invalid("This is no place in the list.", fields={"after": "Expected a cursor of this list."})
        rows = rows.filter(pk__lt=int(after))
    found = list(rows[: ASIDE_ROWS + 1])
    context = {
        "project": project,
        "rows": found[:ASIDE_ROWS],
        "after": found[ASIDE_ROWS - 1].pk if len(found) > ASIDE_ROWS else None,
        "simulated": project.connection.simulated,
    }
    return htmx.render(request, "ingestion/set_aside.html", context)


def _aside_lines(project: Project) -> Iterator[bytes]:
    """One JSON object a row, in the order of their lines; read piece by piece."""
    for row in SetAside.objects.filter(project=project).order_by("pk").iterator(chunk_size=500):
        told = {"source": row.label, "line": row.line, "code": row.code, "reason": row.reason, "row": row.raw or None}
        yield msgspec.json.encode({**told, "row_hash": row.raw_hash, "at": row.created_at}) + b"\n"


# ------------------------------------------------------------------------------------------------ coverage
@require_safe
def coverage_page(request: HttpRequest, slug: str) -> HttpResponse:
    """What the logs of the last days lack, by model."""
    project = access.project_for(request.user, slug)
    chosen = request.GET.get("range", "")
    chosen = chosen if chosen in RANGES else "30d"
    found = coverage.coverage(project, timezone.now() - timedelta(days=RANGES[chosen][1]))
    context = {
        "project": project,
        "whole": found[0] if found else None,
        "models": found[1:],
        "lacks": coverage.LACKS,
        "ranges": {name: text for name, (text, _) in RANGES.items()},
        "chosen": chosen,
        "simulated": project.connection.simulated,
    }
    return htmx.render(request, "ingestion/coverage.html", context)
