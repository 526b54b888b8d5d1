"""JSON logs, one line an event, with the ids that tie them together."""

import logging
import sys

import structlog

from schemas.settings import Settings


def configure_logs(settings: Settings) -> None:
    """JSON to standard error; ``STAMPEDE_LOG_LEVEL`` says from which level on."""
    level = logging.getLevelNamesMapping().get(settings.log_level.upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
