"""What the README says is so: its commands exist, its settings are read, and its session buys something from a real copy."""

import re
import subprocess
from pathlib import Path

import msgspec
import pytest
import typer.main

from loadtests.instance import ShopCopy, lag_of
from schemas.settings import Settings
from serve.cli.main import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_every_command_of_the_readme_exists() -> None:
    group = typer.main.get_command(app)
    named = set(re.findall(r"`stampede (\w+)(?: (create|prepare|status) )?", README))
    sale = group.commands["sale"].commands  # type: ignore[attr-defined]
    assert {first for first, _ in named} == set(group.commands)  # type: ignore[attr-defined]
    assert {second for first, second in named if first == "sale"} == set(sale)


def test_every_setting_of_the_readme_is_read() -> None:
    known = {"STAMPEDE_" + field.name.upper() for field in msgspec.structs.fields(Settings)}
    assert set(re.findall(r"STAMPEDE_[A-Z_]+[A-Z]", README)) <= known


def test_every_link_of_the_readme_leads_somewhere() -> None:
    targets = {target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target}
    assert [target for target in sorted(targets) if not (ROOT / target).exists()] == []


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(400)
def test_the_session_of_the_readme_buys_something(tmp_path: Path) -> None:
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)  # a PostgreSQL that root starts runs as another user
    session = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
    assert session.count("\n") == 13
    with ShopCopy(tmp_path / "shop") as copy:
        environment = copy._environment
        for port, name in (("8701", "STAMPEDE_DIRECT_PORT"), ("8702", "STAMPEDE_SIMULATOR_PORT")):
            session = session.replace(f":{port}/", f":{environment[name]}/")
        session = session.replace(".venv/bin/stampede", copy.program[0])
        # The webhook is under way when the page has paid: ask until the shop has heard.
        paid = session.rstrip("\n").splitlines()[-1].partition("   #")[0]
        session += f'for _ in $(seq 100); do {paid} | grep -q \'"status":"paid"\' && exit 0; sleep 0.1; done; exit 1\n'
        done = subprocess.run(["sh", "-xc", session], env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        copy.wait_caught_up()
        status = copy.status()
        assert lag_of(status) == 0
        assert len(status["replicas"]) == 2
        assert status["lanes"]["ingress"]["ready"]
        assert status["lanes"]["direct"]["ready"]
        assert [host.pid for host in copy.hosts()] == [host["pid"] for host in status["hosts"]]
        assert copy.audit() == "balanced"
