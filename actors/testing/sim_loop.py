"""An event loop whose time is a number, whose order is drawn from a seed, and whose processes can die.

Nothing waits: when no callback is ready, time jumps to the next timer. Ready callbacks run in an
order drawn from the seed, which is harsher than asyncio's own. A :class:`Life` is one process of the
simulated world; what was scheduled in it runs only while it lives, so that a crash loses its memory
at any ``await``, and a frozen process wakes with everything that came meanwhile.
"""

import asyncio
import heapq
import random
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final, TypeVar

T = TypeVar("T")

STEPS_MAX: Final = 3_000_000
"""Callbacks of one run: past it something spins."""

STEPS_AT_ONCE_MAX: Final = 200_000
"""Callbacks at one instant."""


class Life:
    """One process: it runs, is frozen, or is dead for good."""

    __slots__ = ("context", "dead", "frozen", "name", "parked")

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.frozen = False
        self.parked: list[_Handle] = []
        self.context = copy_context()
        self.context.run(_LIFE.set, self)


_LIFE: ContextVar[Life | None] = ContextVar("life", default=None)


class _Handle:
    """A scheduled callback, cancelled as asyncio's own handles are."""

    __slots__ = ("args", "callback", "context", "is_cancelled", "when_s")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context, when_s: float = 0.0) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.when_s = when_s
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled

    def when(self) -> float:
        return self.when_s


class SimLoop(asyncio.AbstractEventLoop):
    """The loop of one run. ``errors`` collects what no task caught."""

    def __init__(self, rng: random.Random) -> None:
        self.errors: list[str] = []
        self.steps = 0
        self._random = rng.random
        self._now_s = 1000.0
        self._ready: list[_Handle] = []
        self._timers: list[tuple[float, int, _Handle]] = []
        self._timer_count = 0
        self._tasks: list[tuple[asyncio.Task[Any], Life | None]] = []
        self._closed = False

    # --- what asyncio asks of a loop ----------------------------------------------------------------

    def time(self) -> float:
        """Seconds of virtual time."""
        return self._now_s

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        handle = _Handle(callback, args, copy_context() if context is None else context)
        if not self._closed:
            self._ready.append(handle)
        return handle

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        handle = _Handle(callback, args, copy_context() if context is None else context, when)
        self._timer_count += 1
        heapq.heappush(self._timers, (when, self._timer_count, handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Generator[Any, None, T] | Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        # Kept until the run ends, so that no collector finishes a dead process's work behind its back.
        task: asyncio.Task[T] = asyncio.Task(coro, loop=self, name=name or "sim", context=context)
        self._tasks.append((task, _LIFE.get() if context is None else context.get(_LIFE)))
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self._closed

    def is_closed(self) -> bool:
        return self._closed

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._closed:
            self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")

    # --- running --------------------------------------------------------------------------------------

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run ``main`` to its end; RuntimeError when nothing is left that could end it, or too much was done."""
        asyncio._set_running_loop(self)
        try:
            task = self.create_task(main)
            while not task.done():
                self._run_ready()
                if not task.done():
                    self._jump()
            self._collect_errors(task)
            return task.result()
        finally:
            self._close()
            asyncio._set_running_loop(None)

    def _run_ready(self) -> None:
        """Run what is ready, and what becomes so, in a drawn order."""
        ready, draw, steps = self._ready, self._random, 0
        while ready:
            index = int(draw() * len(ready))
            ready[index], handle = ready[-1], ready[index]
            ready.pop()
            if handle.is_cancelled:
                continue
            context = handle.context
            life = context.get(_LIFE)
            if life is not None and (life.dead or life.frozen):
                if not life.dead:
                    life.parked.append(handle)
                continue
            steps += 1
            context.run(handle.callback, *handle.args)
            if steps > STEPS_AT_ONCE_MAX:
                raise RuntimeError("time stands still: something spins")
        self.steps += steps
        if self.steps > STEPS_MAX:
            raise RuntimeError("too many steps: something spins")

    def _jump(self) -> None:
        timers, ready = self._timers, self._ready
        while timers and timers[0][2].is_cancelled:
            heapq.heappop(timers)
        if not timers:
            raise RuntimeError("everything waits for ever")
        self._now_s = max(self._now_s, timers[0][0])
        while timers and timers[0][0] <= self._now_s:
            handle = heapq.heappop(timers)[2]
            if not handle.is_cancelled:
                ready.append(handle)

    def freeze(self, life: Life) -> None:
        """SIGSTOP: nothing of it runs, its clock goes on."""
        life.frozen = True

    def thaw(self, life: Life) -> None:
        """SIGCONT: all that fell due meanwhile is ready at once."""
        life.frozen = False
        self._ready.extend(life.parked)
        life.parked = []

    def kill(self, life: Life) -> None:
        """SIGKILL: no ``finally`` runs, its memory is gone."""
        life.dead = True
        life.parked = []

    def _collect_errors(self, main: asyncio.Task[Any]) -> None:
        for task, life in self._tasks:
            if task is main or not task.done() or task.cancelled() or (life is not None and life.dead):
                continue
            if getattr(task, "_log_traceback", False):
                self.errors.append(f"a task raised {task.exception()!r}")

    def _close(self) -> None:
        """Nothing can be scheduled any more; what still waits is ended here, not by a collector later."""
        self._closed = True
        for task, _ in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                coro = task.get_coro()
                try:
                    if coro is not None:
                        coro.close()
                except RuntimeError:
                    pass  # it waits in a ``finally``; it is garbage all the same
            elif not task.cancelled():
                task.exception()
        self._tasks.clear()
        self._ready.clear()
        self._timers.clear()
