"""Questions that people keep."""

from django.conf import settings
from django.db import models
from django.db.models import UniqueConstraint

from projects.models import Project


class SavedView(models.Model):
    """A name for a query string of the analytics page; all members of a project see it."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="saved_views")
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=1000)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [UniqueConstraint(fields=["project", "name"], name="saved_view_once")]

    def __str__(self) -> str:
        return self.name
