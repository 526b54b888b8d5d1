"""``stampede journal``: status, archive, prune, upkeep, of a copy that runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

pytestmark = pytest.mark.slow


def records(copy: Any) -> int:
    return int(copy.sql("SELECT sum(head_seq) FROM shard_owner")[0][0])


def test_the_journal_is_archived_shown_and_kept_for_the_days_that_were_asked_for(in_copy: Any, run: Run) -> None:
    made = run("sale", "create", "--sku", "sku_1", "--stock", "5", "--price", "1", "--opens-in", "3600", "--json")
    assert made.code == 0
    for table in ("journal", "stock_movement"):
        in_copy.sql(f"UPDATE {table} SET at_ms = at_ms - 864000000 WHERE seq <= 2")
    done = run("journal", "archive", "--json").json
    assert (done["archived"], done["pruned"], done["problems"]) == (records(in_copy), 0, [])
    assert "Archived 0 records in 0 files; pruned 0." in run("journal", "archive").out
    view = run("journal", "status", "--json").json
    assert (view["journal"]["rows"], view["journal"]["archived"], view["journal"]["pruned"]) == (records(in_copy), records(in_copy), 0)
    assert (view["lake"], view["files"]) == (str(in_copy.settings.lake_path), done["files"])
    young = run("journal", "prune", "--keep-days", "30")
    assert (young.code, "shards keep records that are too young" in young.out) == (0, True)
    shown = run("journal", "status").out
    assert f"{records(in_copy):,} records in the table" in shown
    assert "minutes ago" in shown
    assert f"{records(in_copy):,} records in the table" in run("status").out
    assert run("status", "--json").json["journal"]["archived"] == records(in_copy)
    assert "The books balance." in run("audit").out


def test_old_records_are_pruned_and_the_audit_reads_them_from_the_archive(in_copy: Any, run: Run) -> None:
    done = run("journal", "upkeep", "--keep-days", "9", "--json").json
    assert (done["pruned"] > 0, done["problems"]) == (True, [])
    assert in_copy.sql("SELECT count(*) FROM journal")[0][0] == records(in_copy) - done["pruned"]
    assert "The books balance." in run("audit").out


def test_the_journal_is_never_kept_for_less_than_command_ids_are_good(in_copy: Any, run: Run) -> None:
    refused = run("journal", "prune", "--keep-days", "6")
    assert refused.code == 2
    assert "keep-days" in refused.err


def test_a_problem_is_one_sentence_with_a_way_out_and_exit_code_one(in_copy: Any, run: Run) -> None:
    mark: Path = in_copy.settings.lake_path / "_cluster"
    mine = mark.read_text()
    mark.write_text("another database")
    try:
        said = run("journal", "upkeep")
        assert said.code == 1
        assert f"{in_copy.settings.lake_path} holds the records of another database. Set STAMPEDE_LAKE" in said.out
        assert "upkeep FAILED: lake_foreign" in run("journal", "status").out
    finally:
        mark.write_text(mine)
    assert run("journal", "upkeep").code == 0


def test_the_journal_speaks_chinese(in_copy: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert "日志:表中" in run("journal", "status").out
    assert "条记录归档到" in run("journal", "archive").out
