"""Questions of the analytics page that people keep under a name."""

from django.http import QueryDict

from agentopt.lib.errors import Invalid
from ingestion.models import SavedView
from projects import audit
from projects.models import Project, User

MAX_NAME, MAX_QUERY, MAX_VIEWS = 60, 1000, 50
# what a question of the page may say in its address
_KEPT = ("kind", "metric", "by", "per", "status", "model", "range")


def save(project: Project, *, name: str, query: str, by: User | None) -> SavedView:
    """Keep a query string under a name; a name that is taken gets the new question.

    Raises:
        Invalid: no name, one that is too long, or more than 50 views.
    """
    name = " ".join(name.split())
    if not 1 <= len(name) <= MAX_NAME or "\x00" in name:
        raise Invalid(
            f"A view needs a name of at most {MAX_NAME} characters.", fields={"name": "Expected a short name."}
        )
    given = QueryDict(query[:MAX_QUERY], mutable=True)
    kept = QueryDict(mutable=True)
    kept.update({key: str(given[key]) for key in _KEPT if given.get(key)})
    if project.saved_views.exclude(name=name).count() >= MAX_VIEWS:
        raise Invalid(f"A project keeps at most {MAX_VIEWS} views; delete one first.")
    view, _ = SavedView.objects.update_or_create(
        project=project, name=name, defaults={"query": kept.urlencode(), "created_by": by}
    )
    audit.record(project, by, "saved_view.save", f"saved_view:{view.pk}", after={"name": name, "query": view.query})
    return view


def delete(view: SavedView, *, by: User | None) -> None:
    """Forget a view."""
    audit.record(
        view.project, by, "saved_view.delete", f"saved_view:{view.pk}", before={"name": view.name, "query": view.query}
    )
    view.delete()
