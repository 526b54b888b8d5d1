"""What slips into a log line does not get out of the process."""

import json
import re

import structlog

from actors.domain.masking import HIDDEN
from actors.domain.signing import SigningKeys
from actors.domain.token import AccessToken, RefreshToken, issue, refresh_token_text
from actors.runtime.logs import configure_logs
from schemas.settings import Settings

TOKEN = issue(
    SigningKeys(current=1, keys={1: b"k" * 32}),
    AccessToken(user_id="usr_1", session_id="ses_1", generation=0, roles=1, expires_at_ms=1_700_000_000_000),
)
REFRESH = refresh_token_text(RefreshToken(user_id="usr_1", session_id="ses_1", secret=b"s" * 32))
PERSONAL = {
    "email": "kim.larsen@example.com",
    "phone": "+8613800138012",
    "access_token": TOKEN,
    "refresh_token": REFRESH,
    "password": "correct horse battery staple",
}


def broken(secret: str) -> None:
    email = PERSONAL["email"]
    raise RuntimeError(f"cannot write to {email} with {secret}")


def test_f79_a_scanner_finds_no_address_number_or_token_in_the_logs(capsys) -> None:
    before = structlog.get_config()
    try:
        configure_logs(Settings(log_level="info"))
        log = structlog.get_logger("stampede.test")
        log.info("told", **PERSONAL)
        log.info("nested", request={"headers": [["authorization", f"Bearer {TOKEN}"]], "body": PERSONAL})
        log.warning(f"a text of {PERSONAL['email']} and {PERSONAL['phone']}", reason=f"refused {REFRESH}")
        try:
            broken(TOKEN)
        except RuntimeError:
            log.exception("failed")
    finally:
        structlog.configure(**before)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    text = "\n".join(lines)
    assert [name for name, value in PERSONAL.items() if value in text] == []
    assert re.findall(r"[\w.+-]+@[\w-]+\.\w+", text.replace("k***@example.com", "")) == []
    assert json.loads(lines[0])["email"] == "k***@example.com"
    assert json.loads(lines[0])["access_token"] == HIDDEN
    assert "k***@example.com" in json.loads(lines[3])["exception"][0]["exc_value"]
