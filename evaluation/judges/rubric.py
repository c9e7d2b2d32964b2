"""One answer against a rubric, or two in one order, by a model: how it is asked, and how its reply is read."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agentopt.lib import judge_form
from evaluation.judges import parsing, rules
from evaluation.judges.base import Case, Reference, Scale, Verdict
from evaluation.models import JudgeVersion

# Enough for three sentences and for a judge that thinks aloud a little; one that breaks off is unscored.
_REPLY_TOKENS = 1024
_LONGEST_TOOLS, _LONGEST_SCHEMA = 8_000, 4_000  # characters that are shown of them
TOOLS = "tools"  # the role under which a judge is shown the tools that the agent had
# How a reply is asked for where the model can be held to it; the second attempt goes without.
FORMS: Mapping[str, dict[str, Any]] = {
    "json_schema": {
        "type": "json_schema",
        "json_schema": {"name": "verdict", "strict": True, "schema": judge_form.SCHEMA},
    },
    "json_object": {"type": "json_object"},
}


def case(
    request: Mapping[str, Any], answer: Mapping[str, Any], *, reference: Reference | None = None,
    second: Mapping[str, Any] | None = None,
) -> Case:  # fmt: skip
    """Return what a judge sees of a logged request and an answer to it: the tools first, tool calls as text.

    Args:
        request: a chat body: messages, tools, response_format.
        second: another answer, for a judge that compares two.
    """
    messages = [message for message in request.get("messages") or () if isinstance(message, Mapping)]
    asked = [(str(message.get("role", "user")), judge_form.render_message(message)) for message in messages]
    tools = _tools(request.get("tools"))
    known = _known(reference, rules.schema_of(_form(request)))
    other = None if second is None else judge_form.render_message(second)
    return Case((*([(TOOLS, tools)] if tools else []), *asked), judge_form.render_message(answer), known, other)


def _form(request: Mapping[str, Any]) -> Mapping[str, Any] | None:
    form = request.get("response_format")
    return form if isinstance(form, Mapping) else None


def _tools(offered: object) -> str:
    """One line for each tool: its name, the names of its parameters, and what it is for."""
    lines = []
    for tool in offered if isinstance(offered, Sequence) and not isinstance(offered, str) else ():
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if isinstance(function, Mapping):
            schema = function.get("parameters")
            named = schema.get("properties") if isinstance(schema, Mapping) else None
            names = ", ".join(map(str, named)) if isinstance(named, Mapping) else ""
            lines.append(f"{function.get('name') or ''}({names}): {function.get('description') or ''}".rstrip(": "))
    return "\n".join(lines)[:_LONGEST_TOOLS]


def _known(reference: Reference | None, schema: Mapping[str, Any] | None) -> str | None:
    """The reference as a judge reads it: a right answer, the calls that are due, the form that is demanded."""
    parts = []
    if reference is not None and reference.answer is not None:
        parts.append(reference.answer)
    if reference is not None and reference.tool_calls is not None:
        calls = judge_form.render_message({"content": None, "tool_calls": reference.tool_calls})
        parts.append(f"Tool calls that are due:\n{calls}" if calls else "No tool call is due.")
    if schema is not None:
        text = json.dumps(schema, ensure_ascii=False)[:_LONGEST_SCHEMA]
        parts.append(f"The answer must be JSON that fits this schema:\n{text}")
    return "\n\n".join(parts) or None


def body(version: JudgeVersion, judged: Case, *, repetition: int, attempt: int = 0, form: str = "") -> dict[str, Any]:
    """Return the chat body that asks for a score, without the judge's model.

    Temperature 0 and a seed: the same answer gets the same score as far as the provider keeps its word. A second
    attempt after an unreadable reply changes the seed, or it would only be given the same reply again, and holds the
    model to no form, which may be what went wrong.

    Args:
        form: one of FORMS that the model can be held to; empty: none.
    """
    asked = judge_form.Asked(
        rubric=version.rubric,
        lowest=version.lowest,
        highest=version.highest,
        messages=judged.messages,
        answer=judged.answer,
        reference=judged.reference,
        second=judged.second,
    )
    return {
        "messages": judge_form.compose(asked, instructions=version.text),
        "temperature": 0,
        "seed": 1 + repetition + 1000 * attempt,
        "max_tokens": _REPLY_TOKENS,
        **({"response_format": FORMS[form]} if form and not attempt else {}),
    }


def read(version: JudgeVersion, text: str, *, finish_reason: str, refusal: str | None) -> Verdict:
    """Read a judge's reply on the scale of this version."""
    scale = Scale(version.lowest, version.highest)
    return parsing.read(text, scale=scale, finish_reason=finish_reason, refusal=refusal)
