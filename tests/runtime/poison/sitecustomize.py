"""Found first by every Python process of a copy under test: its stock has rules that certain quantities make fail."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import threading
from collections.abc import Sequence
from types import ModuleType
from typing import Any

MODULE = "actors.domain.stock"
MEGABYTES_FROM = 1_000_000
_leak: list[bytes] = []


class Unpicklable(Exception):
    """An exception that no process can tell another one."""

    def __init__(self) -> None:
        super().__init__(threading.Lock())


FAILURES: dict[int, type[BaseException]] = {101: ValueError, 102: Unpicklable, 103: SystemExit, 104: MemoryError}


def _poison(kind: Any) -> None:
    decide = kind.decide

    def poisoned(self: Any, state: Any, command: Any, context: Any) -> Any:
        quantity = getattr(command, "quantity", 0)
        if quantity in FAILURES:
            raise FAILURES[quantity]()
        if quantity > MEGABYTES_FROM:
            _leak.append(b"x" * ((quantity - MEGABYTES_FROM) << 20))
        return decide(self, state, command, context)

    kind.decide = poisoned


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: Any) -> ModuleType | None:
        found: ModuleType | None = self._loader.create_module(spec)
        return found

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _poison(module.StockKind)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if name != MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None
        spec.loader = _Loader(spec.loader)
        return spec


sys.meta_path.insert(0, _Finder())
