"""A TCP proxy before PostgreSQL that cuts a connection at one moment of one statement: what a network does, at its worst time."""

import asyncio
from collections import Counter
from typing import Final, Literal

Moment = Literal["before", "half", "during", "after"]
"""Before the statement left, in the middle of it, when it had left, and when its answer had come: the client hears the same in all."""

MOMENTS: Final[tuple[Moment, ...]] = ("before", "half", "during", "after")

CHUNK: Final = 1 << 20
BIND: Final = b"B"
"""How a prepared statement's execution begins on the wire."""

SMALL: Final = 200
"""Executions shorter than this are questions (a ping, a lease), not a batch of records."""


class CuttingProxy:
    """Forwards to ``host:port``. :meth:`arm` chooses the moment at which the next batch of ``marked`` connections is cut.

    ``marked``: what the start-up message of a connection holds that may be cut, for example its application name.
    ``cuts`` counts by moment; ``cut`` is set at each.
    """

    def __init__(self, host: str, port: int, marked: bytes) -> None:
        self._upstream = (host, port)
        self._marked = marked
        self._armed: Moment | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.cuts: Counter[Moment] = Counter()
        self.cut = asyncio.Event()

    async def start(self) -> int:
        """Listen on loopback; answers the port."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def lead_to(self, host: str, port: int) -> None:
        """From the next connection on, forward to another server."""
        self._upstream = (host, port)

    def arm(self, moment: Moment) -> None:
        """Cut the next batch at this moment."""
        self.cut.clear()
        self._armed = moment

    async def close(self) -> None:
        """Hang up everywhere."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            up_reader, up_writer = await asyncio.open_connection(*self._upstream)
        except OSError:
            writer.close()
            return
        line = _Line(self, reader, writer, up_reader, up_writer)
        try:
            await line.run()
        finally:
            line.hang_up()

    def strike(self, chunk: bytes) -> Moment | None:
        """The moment to cut at, if this chunk begins the batch that was waited for."""
        if self._armed is None or chunk[:1] != BIND or len(chunk) < SMALL:
            return None
        moment, self._armed = self._armed, None
        return moment

    def is_marked(self, chunk: bytes) -> bool:
        """True for the start-up message of a connection that may be cut."""
        return self._marked in chunk

    def note(self, moment: Moment) -> None:
        """A connection was cut."""
        self.cuts[moment] += 1
        self.cut.set()


class _Line:
    """One connection, both ways."""

    def __init__(
        self,
        proxy: CuttingProxy,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._reader, self._writer = reader, writer
        self._up_reader, self._up_writer = up_reader, up_writer
        self._marked = False
        self._deaf = False

    async def run(self) -> None:
        """Until one side hangs up, or the line is cut."""
        answers = asyncio.ensure_future(self._answers())
        questions = asyncio.ensure_future(self._questions())
        try:
            await asyncio.wait((answers, questions), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (answers, questions):
                task.cancel()
            await asyncio.gather(answers, questions, return_exceptions=True)

    async def _questions(self) -> None:
        while chunk := await self._reader.read(CHUNK):
            self._marked = self._marked or self._proxy.is_marked(chunk)
            moment = self._proxy.strike(chunk) if self._marked else None
            if moment is None:
                self._up_writer.write(chunk)
                await self._up_writer.drain()
                continue
            await self._cut(moment, chunk)
            return

    async def _cut(self, moment: Moment, chunk: bytes) -> None:
        self._deaf = moment == "after"
        if moment == "half":
            self._up_writer.write(chunk[: len(chunk) // 2])
        elif moment != "before":
            self._up_writer.write(chunk)
        await self._up_writer.drain()
        if moment == "after":
            # The answer is read by the other direction, and goes nowhere: the line ends with it.
            await asyncio.Event().wait()
        self._proxy.note(moment)

    async def _answers(self) -> None:
        while chunk := await self._up_reader.read(CHUNK):
            if self._deaf:
                self._proxy.note("after")
                return
            self._writer.write(chunk)
            await self._writer.drain()

    def hang_up(self) -> None:
        """Both ends, at once."""
        for writer in (self._writer, self._up_writer):
            writer.transport.abort()
