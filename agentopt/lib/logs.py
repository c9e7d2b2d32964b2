"""Log lines as JSON: bound names and numbers, never a prompt, an answer or a key."""

import sys
import traceback
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from agentopt.lib.errors import AgentOptError

_FRAMES = 12


def _tell_exception(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Say which error and where, not what: the words of a foreign error may quote a prompt, its locals hold them."""
    given = event.pop("exc_info", None)
    info = sys.exc_info() if given is True else given
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["error"] = type(error).__qualname__
        if isinstance(error, AgentOptError):
            event["error_code"] = error.code
        frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
        event["where"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        if error.__cause__ is not None:
            event["cause"] = type(error.__cause__).__qualname__
    return event


_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


class JsonFormatter(structlog.stdlib.ProcessorFormatter):
    """One JSON object a line for structlog and for the standard library alike."""

    def __init__(self) -> None:
        super().__init__(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _tell_exception,
                structlog.processors.JSONRenderer(default=str),
            ],
            foreign_pre_chain=_SHARED,
        )


structlog.configure(
    processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)
