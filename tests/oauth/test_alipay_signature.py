"""RSA2 against Alipay's published signing content, against another implementation, and against whoever forges it."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.adapters.oauth.alipay_signature import private_key, public_key, signed, signed_part, signing_content, verified

# The content is the example of https://opendocs.alipay.com/common/02khjm; keys and signature are OpenSSL's:
# openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048; openssl dgst -sha256 -sign
VECTOR = json.loads((Path(__file__).parent / "vectors" / "alipay_rsa2.json").read_text())
MENU = VECTOR["content"].partition("biz_content=")[2].partition("&charset")[0]
PARAMETERS = {
    "version": "1.0",
    "timestamp": "2014-07-24 03:07:50",
    "sign_type": "RSA2",
    "sign": "of-an-earlier-try",
    "method": "alipay.mobile.public.menu.add",
    "charset": "GBK",
    "notify_url": "",
    "biz_content": MENU,
    "app_id": "2014072300007148",
}
PRIVATE = private_key(VECTOR["private_key_pkcs8"])
PUBLIC = public_key(VECTOR["public_key"])
NAMES = ("alipay_system_oauth_token_response", "error_response")


def answer(text: str, *, name: str = NAMES[0], sign: str | None = None) -> bytes:
    signature = sign if sign is not None else signed_text(text)
    return f'{{"{name}":{text},"sign":"{signature}"}}'.encode()


def signed_text(text: str) -> str:
    return base64.b64encode(PRIVATE.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


def test_the_signing_content_is_the_one_that_alipay_publishes() -> None:
    assert signing_content(PARAMETERS) == VECTOR["content"]


@pytest.mark.parametrize("form", ["private_key_pkcs8", "private_key_pkcs1"])
def test_the_signature_is_the_one_that_openssl_makes(form: str) -> None:
    assert signed(PARAMETERS, private_key(VECTOR[form])) == VECTOR["signature"]
    assert verified(VECTOR["content"].encode(), VECTOR["signature"], PUBLIC)


def test_another_content_another_key_and_no_signature_do_not_fit() -> None:
    content = VECTOR["content"].encode()
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    assert not verified(content + b" ", VECTOR["signature"], PUBLIC)
    assert not verified(content, VECTOR["signature"], stranger)
    for bad in ("", "AAAA", "not base64!", VECTOR["signature"][:-4]):
        assert not verified(content, bad, PUBLIC)


def test_the_exact_text_of_the_answer_is_what_is_verified() -> None:
    text = '{ "user_id" : "2088", "url":"https:\\/\\/t\\/x",  "nick_name":"\\u5c0f金" }'
    assert signed_part(answer(text), NAMES, PUBLIC) == (NAMES[0], text.encode())
    written_anew = json.dumps(json.loads(text))
    assert signed_part(answer(written_anew, sign=signed_text(text)), NAMES, PUBLIC) is None


@pytest.mark.parametrize(
    "body",
    [
        answer('{"user_id":"1"}', sign=""),
        b'{"alipay_system_oauth_token_response":{"user_id":"1"}}',
        answer('{"user_id":"1"}', name="alipay_other_response"),
        b'{"sign":"x"}',
        b"[]",
        b"",
        b"\xff",
        b'{"alipay_system_oauth_token_response":{"user_id":"1"},"sign":1}',
    ],
)
def test_what_is_not_signed_is_nothing(body: bytes) -> None:
    assert signed_part(body, NAMES, PUBLIC) is None


def test_a_second_part_of_the_same_name_is_not_believed_for_the_first() -> None:
    """What is read is what was verified, whichever of the two a parser prefers."""
    honest, forged = '{"user_id":"2088"}', '{"user_id":"9999"}'
    for first, second in ((honest, forged), (forged, honest)):
        body = f'{{"{NAMES[0]}":{first},"{NAMES[0]}":{second},"sign":"{signed_text(honest)}"}}'.encode()
        assert signed_part(body, NAMES, PUBLIC) in (None, (NAMES[0], honest.encode()))


def test_keys_are_read_as_alipay_and_openssl_write_them_and_nothing_else_is() -> None:
    pem = PRIVATE.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    assert private_key(pem.decode()).private_numbers() == PRIVATE.private_numbers()
    public_pem = PUBLIC.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    assert public_key(public_pem).public_numbers() == PUBLIC.public_numbers()
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    curve = ec.generate_private_key(ec.SECP256R1())
    for key in (small, curve):
        text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
        with pytest.raises(ValueError, match="2048 bits") as refused:
            private_key(text)
        assert text.splitlines()[1] not in str(refused.value)
    for bad in ("", "nonsense", VECTOR["public_key"]):
        with pytest.raises(ValueError, match="cannot be read"):
            private_key(bad)
    with pytest.raises(ValueError, match="cannot be read"):
        public_key(VECTOR["private_key_pkcs8"])


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(body=st.binary(max_size=200))
def test_no_answer_breaks_the_reader(body: bytes) -> None:
    assert signed_part(body, NAMES, PUBLIC) is None
