"""Tell a project's people: `send(project, kind, context)` keeps a notice, and workers bring it to each channel."""

from projects.notifications.outbox import send

__all__ = ["send"]
