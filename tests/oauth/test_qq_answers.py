"""QQ's answers in all their forms."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.adapters.oauth.qq_answers import read_answer

# As https://wiki.connect.qq.com shows them.
FORM = b"access_token=FE04************************CCE2&expires_in=7776000&refresh_token=88E4************************BE14"
CALL = b'callback( {"client_id":"YOUR_APPID","openid":"YOUR_OPENID"} );\n'
ERROR = b'callback( {"error":100019,"error_description":"code to access token error"} );'


def test_a_form_a_call_and_json_say_the_same() -> None:
    token = "FE04************************CCE2"
    assert read_answer(FORM) == {"access_token": token, "expires_in": "7776000", "refresh_token": "88E4************************BE14"}
    assert read_answer(CALL) == {"client_id": "YOUR_APPID", "openid": "YOUR_OPENID"}
    assert read_answer(b'{"client_id":"YOUR_APPID","openid":"YOUR_OPENID"}') == read_answer(CALL)
    assert read_answer(ERROR) == {"error": "100019", "error_description": "code to access token error"}
    assert read_answer(b'callback({"openid":"a);b"})') == {"openid": "a);b"}


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"callback( [1] );", b"callback( {", b"{", b"\xff", b"a=1&" * 40 + b"a=1", b"callback( {}"]
)
def test_anything_else_is_no_answer(body: bytes) -> None:
    assert read_answer(body) is None


@settings(max_examples=100, deadline=None)
@given(body=st.binary(max_size=100))
def test_no_answer_breaks_the_reader(body: bytes) -> None:
    found = read_answer(body)
    assert found is None or all(isinstance(value, str) for value in found.values())
