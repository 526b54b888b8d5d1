"""``stampede goods``: import and export, of a copy that runs; in both languages."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

pytestmark = pytest.mark.slow

GOOD = "product code,title en,title zh,sku code,barcode,price CNY\nCLI-1,Cup,杯子,CLI-S1,0012345678905,8.90\n"


def test_a_file_is_checked_imported_and_exported(in_copy: Any, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_copy.sql("INSERT INTO shipping_fee (currency, fee_minor) VALUES ('CNY', 0) ON CONFLICT DO NOTHING")
    path = tmp_path / "goods.csv"
    path.write_text(GOOD)
    said = run("goods", "import", str(path), "--dry-run")
    assert (said.code, said.out) == (0, "Every cell is good. An import would make 1 products, change 0, and leave 0 as they are.\n")
    assert in_copy.sql("SELECT FROM sku WHERE code = 'CLI-S1'") == []
    done = run("goods", "import", str(path), "--json").json
    assert (done["job"]["state"], done["job"]["created"]) == ("done", 1)
    out = tmp_path / "out.csv"
    assert run("goods", "export", str(out)).code == 0
    assert "CLI-S1" in out.read_text(encoding="utf-8-sig")
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    path.write_text(GOOD.replace("8.90", "eight").replace("CLI-S1", "CLI S1"))
    said = run("goods", "import", str(path))
    assert (said.code, said.out.startswith("有 2 个问题单元格")) == (1, True)
    flaws = json.loads((tmp_path / "goods.flaws.json").read_text())["flaws"]
    assert [(flaw["cell"], flaw["code"]) for flaw in flaws] == [("D2", "code_form"), ("F2", "price_form")]
    rows = list(csv.reader((tmp_path / "goods.flaws.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert rows[0][:2] == ["行号", "问题"]


def test_what_cannot_be_imported_is_said(in_copy: Any, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "goods.xlsx"
    path.write_bytes(b"PK\x03\x04")
    said = run("goods", "import", str(path))
    assert (said.code, said.out) == (1, "Nothing was imported: The workbook is damaged.\n")
    assert run("goods", "import", str(tmp_path / "none.csv")).code == 1
    assert "ends in .csv or .xlsx" in run("goods", "export", str(tmp_path / "x.txt")).err
