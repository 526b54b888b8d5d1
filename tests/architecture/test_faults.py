"""``tests/FAULTS.md`` says the truth: the tests that it names exist, and every test of a fault is named."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
TABLE = (TESTS / "FAULTS.md").read_text()
ROWS = {int(found[1]): found[2] for found in re.finditer(r"^\| (\d+) \| .* \| (.*) \|$", TABLE, re.MULTILINE)}
NAMES = {name for path in TESTS.rglob("test_*.py") for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)}


def test_every_fault_has_a_line_with_a_test_or_a_reason() -> None:
    assert sorted(ROWS) == list(range(1, 81))
    assert [number for number, text in ROWS.items() if not ("`test_" in text or text.startswith("not applicable"))] == []


def test_every_test_that_is_named_exists() -> None:
    assert sorted(set(re.findall(r"`(test_\w+)`", TABLE)) - NAMES) == []


def test_every_test_of_a_fault_is_named_in_its_row() -> None:
    missing = []
    for name in sorted(NAMES):
        numbers = re.match(r"test((?:_f\d+)+)_", name)
        for number in re.findall(r"\d+", numbers[1]) if numbers else ():
            if f"`{name}`" not in ROWS[int(number)]:
                missing.append((int(number), name))
    assert missing == []
