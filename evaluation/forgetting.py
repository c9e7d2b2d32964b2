"""Blank what evaluations copied out of calls whose bodies are gone: answers and what judges wrote. Scores stay."""

from django.db import transaction

from evaluation.models import Replay, Sample, Verdict
from projects.models import Project


def forget(project: Project) -> int:
    """Blank every copy that is still there; how many answers and explanations there were.

    The key of the cache goes too: an answer that is blank must never be taken for one that was given.
    """
    gone = Replay.objects.filter(sample__evaluation__project=project, sample__record__removed__isnull=False)
    answers = gone.exclude(answer="", tool_calls=[], cache_key="", message="")
    explained = Verdict.objects.filter(replay__in=gone).exclude(explanation="", cache_key="")
    known = Sample.objects.filter(evaluation__project=project, record__removed__isnull=False, reference__isnull=False)
    with transaction.atomic():
        known.update(reference=None)
        n = explained.update(explanation="", cache_key="")
        return n + answers.update(answer="", tool_calls=[], cache_key="", message="")
