"""JSON logs, one line an event, with the ids that tie them together."""

import logging
import sys

import structlog
from structlog.typing import EventDict, WrappedLogger

from actors.domain.masking import masked_value
from schemas.settings import Settings


def hide_personal(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """The line with addresses, numbers and tokens hidden, wherever they slipped in."""
    return {name: masked_value(name, value) for name, value in line.items()}


def configure_logs(settings: Settings) -> None:
    """JSON to standard error; ``STAMPEDE_LOG_LEVEL`` says from which level on."""
    level = logging.getLevelNamesMapping().get(settings.log_level.upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            hide_personal,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
