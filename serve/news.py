"""What one replica tells the others at once, over Redis, when there is one.

Nothing depends on it: whoever misses news learns it from the tables and the owners.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog

from actors.ports.clock import Clock

log = structlog.get_logger("stampede.news")

CHANNEL: Final = "stampede:news"
TELL_S: Final = 0.05
AGAIN_S: Final = 1.0

Heard = Callable[[str], None]


class News:
    """One subscription a replica; each topic has one listener."""

    def __init__(self, clock: Clock, redis: Any) -> None:
        self._clock = clock
        self._redis = redis
        self._listeners: dict[str, Heard] = {}

    def on(self, topic: str, heard: Heard) -> None:
        """Call this with the text of all news of a topic, also of one's own."""
        self._listeners[topic] = heard

    def tell(self, topic: str, text: str) -> None:
        """Tell everybody, if that is possible within a moment."""
        if self._redis is not None:
            task = asyncio.ensure_future(self._tell(topic, text))
            task.add_done_callback(lambda done: done.exception())

    async def _tell(self, topic: str, text: str) -> None:
        try:
            await asyncio.wait_for(self._redis.publish(CHANNEL, f"{topic} {text}"), TELL_S)
        except Exception as error:
            log.info("news_not_told", topic=topic, reason=type(error).__name__)

    async def keep_listening(self) -> None:
        """Hear the others for as long as there is a Redis; begin again when it goes away."""
        while self._redis is not None:
            try:
                async with self._redis.pubsub() as channel:
                    await channel.subscribe(CHANNEL)
                    async for message in channel.listen():
                        self._hear(message)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log.info("news_not_heard", reason=type(error).__name__)
            await self._clock.sleep(AGAIN_S)

    def _hear(self, message: dict[str, Any]) -> None:
        if message.get("type") != "message":
            return
        data = message["data"]
        topic, _, text = (data.decode(errors="replace") if isinstance(data, bytes) else str(data)).partition(" ")
        heard = self._listeners.get(topic)
        if heard is not None:
            heard(text)
