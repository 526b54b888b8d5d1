"""Imports point one way: from HTTP to the pure core, never back."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("actors", "loadtests", "pipelines", "schemas", "serve")

# What each part may import of ours. The longest name that fits a module decides.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "schemas": (),
    "actors.domain": ("schemas",),
    "actors.ports": ("schemas", "actors.domain"),
    "actors.owners": ("schemas", "actors.domain", "actors.ports"),
    "actors.storage": ("schemas", "actors.domain", "actors.ports"),
    "actors.adapters": ("schemas", "actors.domain", "actors.ports"),
    "actors.testing": ("schemas", "actors.domain", "actors.ports", "actors.owners", "actors.storage", "actors.adapters", "actors.client"),
    # The client asks through a port, so that it runs without Ray; hosts ask each other with it.
    "actors.client": ("schemas", "actors.domain", "actors.ports"),
    "actors.runtime": ("schemas", "actors.domain", "actors.ports", "actors.owners", "actors.client", "actors.storage", "actors.adapters"),
    "serve": ("schemas", "actors"),
    "pipelines": ("schemas", "actors.domain", "actors.storage"),
    # Everything else over HTTP, as any client.
    "loadtests": ("actors.storage.embedded", "actors.runtime.priority"),
    # It measures a writing that no route asks for.
    "loadtests.bench_goods": ("schemas", "actors.domain", "actors.storage"),
}

# Ray is named where actors and deployments are, and nowhere else.
RAY_IS_NAMED_IN = ("actors.runtime", "serve.app", "serve.deployments")


def modules() -> list[tuple[str, Path]]:
    paths = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return [(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path) for path in paths]


def imports_of(source: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found |= {name.name for name in names}
            case ast.ImportFrom(module=module, level=0) if module is not None:
                found |= {f"{module}.{name.name}" for name in node.names}
            case ast.ImportFrom(level=level) if level > 0:
                found.add("a relative import")
    return found


def within(name: str, parts: tuple[str, ...]) -> bool:
    return any(name == part or name.startswith(part + ".") for part in parts)


def breaches(module: str, source: str) -> list[str]:
    layer = max((part for part in MAY_IMPORT if within(module, (part,))), key=len, default="")
    found = []
    for name in sorted(imports_of(source)):
        ours = within(name, PACKAGES) or name == "a relative import"
        if ours and not within(name, (layer, *MAY_IMPORT.get(layer, ()))):
            found.append(f"{module} imports {name}")
        if within(name, ("ray",)) and not within(module, RAY_IS_NAMED_IN):
            found.append(f"{module} imports {name}")
        if within(name, ("tests",)):
            found.append(f"{module} imports {name}")
    return found


def test_imports_point_one_way() -> None:
    assert [breach for module, path in modules() for breach in breaches(module, path.read_text())] == []


def test_schemas_import_the_standard_library_and_msgspec_alone() -> None:
    foreign = {
        name.partition(".")[0]
        for module, path in modules()
        if within(module, ("schemas",))
        for name in imports_of(path.read_text())
        if not within(name, ("schemas", "msgspec"))
    }
    assert foreign <= sys.stdlib_module_names


@pytest.mark.parametrize("name", ["asyncio", "time", "socket", "os", "random", "secrets", "datetime"])
def test_the_domain_knows_no_clock_no_chance_and_no_world(name: str) -> None:
    assert [
        module
        for module, path in modules()
        if within(module, ("actors.domain",)) and name in {n.partition(".")[0] for n in imports_of(path.read_text())}
    ] == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("schemas.money", "import actors.domain.stock"),
        ("actors.domain.stock", "from actors.ports import clock"),
        ("actors.owners.shard", "from actors.storage.journal import Journal"),
        ("actors.owners.shard", "import ray"),
        ("actors.client.door", "from ray import serve"),
        ("serve.shop.cart", "def f():\n    import ray.serve"),
        ("loadtests.scenarios", "from actors.storage import seed"),
        ("actors.domain.cart", "from . import stock"),
        ("serve.cli.main", "from tests.storage import x"),
    ],
)
def test_a_breach_is_found(module: str, source: str) -> None:
    assert len(breaches(module, source)) == 1
