"""What judges are asked, as rows: the product's own files, and the rubrics and rules of a project."""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from evaluation.models import Judge, JudgeVersion
from projects.models import Project

PREFERENCE = "preference"  # the product's rubric for two answers
_PROMPTS = Path(__file__).parent / "prompts"
_SCALES = {PREFERENCE: (1.0, 7.0)}
_SCALE = (1.0, 10.0)
Form = JudgeVersion.Form


def current() -> dict[str, JudgeVersion]:
    """Return each of the product's rubrics as its file stands now; a text not seen before becomes a new version."""
    return {rubric: of_file(rubric) for rubric in (*Judge.Rubric.values, PREFERENCE)}


def of_file(rubric: str, known: list[JudgeVersion] | None = None) -> JudgeVersion:
    """The version that a rubric's file is now; `known`: versions that need not be asked for, where it is put if new."""
    lowest, highest = _SCALES.get(rubric, _SCALE)
    form = Form.PAIR if rubric == PREFERENCE else Form.ANSWER
    text, known = text_of(rubric), known if known is not None else []
    text_hash = _hash(rubric, text, form=form, scale=(lowest, highest))
    found = next((one for one in known if one.project_id is None and one.text_hash == text_hash), None)
    if found is None:
        found = _stored(None, rubric, text, form=form, scale=(lowest, highest))
        known.append(found)
    return found


def own(project: Project, name: str, text: str, *, lowest: float, highest: float) -> JudgeVersion:
    """A version of a project's own rubric: its text, and after it what every judge is told about fence and tools."""
    return _stored(project, name, whole(text), form=Form.ANSWER, scale=(lowest, highest))


def draft(name: str, text: str, *, lowest: float, highest: float) -> JudgeVersion:
    """The same, not stored: for a dry run."""
    return JudgeVersion(rubric=name, form=Form.ANSWER, text=whole(text), lowest=lowest, highest=highest, text_hash="")


def rule(project: Project, name: str, settings: Mapping[str, Any]) -> JudgeVersion:
    """A version of a rule as a project has set it."""
    text = json.dumps(settings, sort_keys=True, ensure_ascii=False)
    return _stored(project, name, text, form=Form.RULE, scale=(0.0, 1.0))


def in_force(judge: Judge, known: list[JudgeVersion] | None = None) -> JudgeVersion:
    """What a judge is asked now; `known` as in `of_file`."""
    return judge.version if judge.version is not None else of_file(judge.rubric, known)


def whole(text: str) -> str:
    """A rubric with what every judge is told beside."""
    return f"{text.rstrip()}\n\n{_file('frame')}"


def bare(version: JudgeVersion) -> str:
    """A rubric's own part of its text."""
    return version.text.removesuffix(_file("frame")).rstrip()


def settings_of(version: JudgeVersion) -> dict[str, Any]:
    """A rule's settings out of its version."""
    found: dict[str, Any] = json.loads(version.text)
    return found


def text_of(rubric: str) -> str:
    """A rubric of the product as its file stands, with what every judge is told."""
    return whole(_file(rubric))


@lru_cache(maxsize=16)
def _file(name: str) -> str:
    return (_PROMPTS / f"{name}.md").read_text(encoding="utf-8")


def _stored(
    project: Project | None, rubric: str, text: str, *, form: str, scale: tuple[float, float]
) -> JudgeVersion:  # fmt: skip
    text_hash = _hash(rubric, text, form=form, scale=scale)
    fields = {"rubric": rubric, "form": form, "text": text, "lowest": scale[0], "highest": scale[1]}
    version, _ = JudgeVersion.objects.get_or_create(project=project, text_hash=text_hash, defaults=fields)
    return version


def _hash(rubric: str, text: str, *, form: str, scale: tuple[float, float]) -> str:
    known_by = json.dumps([rubric, form, *scale, text], ensure_ascii=False)
    return hashlib.sha256(known_by.encode()).hexdigest()  # a rubric's text: nothing private to guess
