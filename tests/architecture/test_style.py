"""The house rules that a machine can check."""

import ast
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("actors", "loadtests", "pipelines", "schemas", "serve")

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
NAMES_THAT_SAY_NOTHING = re.compile(r"(^|_)(utils?|helpers?|common|misc|managers?)(_|$)", re.IGNORECASE)
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b")
MACHINE_PATHS = re.compile(r"(?<![\w/.])/(work|home|root|Users|opt/pypi)/\w")
TEXT = {".py", ".sql", ".md", ".toml", ".json", ".html", ".css", ".js", ".sh", ".cfg", ".yml", ".yaml", ".in", ".lock", ""}


def tracked() -> list[Path]:
    """The files of the project: what git knows and what it would be given."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def ours() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in PACKAGES]


def code() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py"]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def long_functions(tree: ast.AST) -> list[str]:
    return [node.name for node in functions(tree) if (node.end_lineno or node.lineno) - node.lineno + 1 > FUNCTION_LINES_MAX]


def loose_structs(tree: ast.AST) -> list[str]:
    """Structs that do not say of themselves that they are frozen and keyword-only."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) in {"msgspec.Struct", "Struct"} for base in node.bases):
            said = {word.arg for word in node.keywords if isinstance(word.value, ast.Constant) and word.value.value is True}
            if not {"frozen", "kw_only"} <= said:
                found.append(node.name)
    return found


def test_no_file_is_longer_than_500_lines() -> None:
    assert [name_of(path) for path in code() if len(path.read_text().splitlines()) > FILE_LINES_MAX] == []


def test_no_function_is_longer_than_70_lines() -> None:
    assert [f"{name_of(path)}: {name}" for path in code() for name in long_functions(ast.parse(path.read_text()))] == []


def test_no_name_says_nothing() -> None:
    files = [
        name_of(path)
        for path in code()
        if any(NAMES_THAT_SAY_NOTHING.search(part) for part in path.relative_to(ROOT).with_suffix("").parts)
    ]
    classes = [
        f"{name_of(path)}: {node.name}"
        for path in code()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and re.search(r"(Utils?|Helpers?|Common|Misc|Manager)$", node.name)
    ]
    assert files + classes == []


def test_nothing_is_left_to_do() -> None:
    own = Path(__file__)
    assert [name_of(path) for path in tracked() if path.suffix in TEXT and path != own and UNFINISHED.search(path.read_text())] == []


def test_no_path_of_a_machine_is_written_down() -> None:
    own = Path(__file__)
    assert [name_of(path) for path in tracked() if path.suffix in TEXT and path != own and MACHINE_PATHS.search(path.read_text())] == []


def test_locks_hold_hashes_and_no_index() -> None:
    for path in sorted((ROOT / "deploy").glob("*.lock")):
        text = path.read_text()
        assert "://" not in text
        assert "index-url" not in text
        pinned = re.findall(r"^[\w.\-\[\]]+==.*(?:\n    --hash=sha256:[0-9a-f]{64}.*)+", text, re.MULTILINE)
        assert len(pinned) == len(re.findall(r"^\w", text, re.MULTILINE)) > 0


def test_every_struct_is_frozen_and_keyword_only_and_says_so() -> None:
    outside = [path for path in ours() if not path.is_relative_to(ROOT / "actors" / "domain")]  # an entity's state changes in place
    assert [f"{name_of(path)}: {name}" for path in outside for name in loose_structs(ast.parse(path.read_text()))] == []


def test_tests_are_no_packages() -> None:
    assert [name_of(path) for path in (ROOT / "tests").rglob("__init__.py")] == []


def test_test_files_have_names_of_their_own() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


def test_the_checks_find_what_they_look_for() -> None:
    long = "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX
    assert long_functions(ast.parse(long)) == ["f"]
    assert long_functions(ast.parse(long.replace("    x = 1\n", "", 1))) == []
    assert loose_structs(ast.parse("class A(msgspec.Struct, frozen=True): pass")) == ["A"]
    assert loose_structs(ast.parse("class A(msgspec.Struct, frozen=True, kw_only=True): pass")) == []
    assert NAMES_THAT_SAY_NOTHING.search("string_utils")
    assert not NAMES_THAT_SAY_NOTHING.search("commonly")
    assert UNFINISHED.search("# TODO: later")
    assert MACHINE_PATHS.search("see /home/someone")
    assert not MACHINE_PATHS.search("GET /v1/home/x")
