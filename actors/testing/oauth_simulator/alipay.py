"""Alipay's side: checks our signature over the sorted parameters, and signs the exact text of its answers.

Written on its own, not with the adapter's functions: a mistake made in both would agree with itself.
"""

import base64
from typing import Any, Final

import msgspec
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from actors.testing.oauth_simulator.answers import Call, Desk
from actors.testing.oauth_simulator.books import Grant, name_for_all, name_in
from actors.testing.oauth_simulator.plan import PEOPLE

_PUBLIC: Final = ("app_id", "method", "charset", "sign_type", "timestamp", "version", "sign")


def gateway(desk: Desk, call: Call) -> web.Response:
    """``gateway.do``."""
    told = {**call.query, **call.form}
    refused = _refused(desk, told)
    if refused:
        return _answer(desk, call, "error_response", refused)
    if told["method"] == "alipay.system.oauth.token":
        return _answer(desk, call, *_token(desk, call, told))
    return _answer(desk, call, *_user(desk, call, told))


def operation_of(method: str) -> str:
    """The operation's name for faults and counts."""
    return {"alipay.system.oauth.token": "alipay.token", "alipay.user.info.share": "alipay.user"}.get(method, "alipay.other")


def _refused(desk: Desk, told: dict[str, str]) -> dict[str, str] | None:
    missing = [name for name in _PUBLIC if not told.get(name)]
    if missing:
        return _error("40001", f"isv.missing-{missing[0].replace('_', '-')}")
    if told["app_id"] != desk.keys.given.alipay_app_id:
        return _error("40002", "isv.invalid-app-id")
    if operation_of(told["method"]) == "alipay.other":
        return _error("40002", "isv.invalid-method")
    if told["sign_type"] != "RSA2":
        return _error("40002", "isv.invalid-signature-type")
    certificates = desk.keys.certificates
    if desk.plan.alipay_certificates and (told.get("app_cert_sn"), told.get("alipay_root_cert_sn")) != (
        certificates.app_sn,
        certificates.root_sn,
    ):
        return _error("40002", "isv.invalid-app-cert-sn")
    pairs = [name + "=" + told[name] for name in sorted(told) if name != "sign" and told[name] != ""]
    try:
        signature = base64.b64decode(told["sign"])
        desk.keys.alipay_app.verify(signature, "&".join(pairs).encode("utf-8"), padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        return _error("40002", "isv.invalid-signature")
    return None


def _token(desk: Desk, call: Call, told: dict[str, str]) -> tuple[str, dict[str, Any]]:
    if call.error:
        return "error_response", _error(*call.error.split(","))
    if told.get("grant_type") != "authorization_code":
        return "error_response", _error("40002", "isv.grant-type-invalid")
    grant = desk.books.redeem(told.get("code", ""), "alipay", told["app_id"], desk.plan.code_s)
    if not isinstance(grant, Grant):
        return "error_response", _error("40002", "isv.code-invalid")
    body = {"access_token": desk.books.token(grant), "expires_in": 1296000, "refresh_token": "simulated", "re_expires_in": 2592000}
    return "alipay_system_oauth_token_response", body | _names(desk, grant)


def _user(desk: Desk, call: Call, told: dict[str, str]) -> tuple[str, dict[str, Any]]:
    name = "alipay_user_info_share_response"
    if call.error:
        return name, _error(*call.error.split(","))
    grant = desk.books.of_token(told.get("auth_token", ""), "alipay")
    if grant is None:
        return name, _error("20001", "aop.invalid-auth-token")
    if call.twist == "other_person":
        grant = msgspec.structs.replace(grant, who="han" if grant.who != "han" else "kim")
    return name, {"code": "10000", "msg": "Success", "nick_name": PEOPLE[grant.who].name, "avatar": "https://t/x.png"} | _names(desk, grant)


def _names(desk: Desk, grant: Grant) -> dict[str, str]:
    user_id = {"user_id": name_for_all("alipay", grant.who)}
    open_id = {"open_id": name_in(grant.app_id, grant.who, 40)}
    return {"user_id": user_id, "open_id": open_id, "both": user_id | open_id}[desk.plan.alipay_names]


def _error(code: str, sub_code: str) -> dict[str, str]:
    return {"code": code, "msg": "Simulated", "sub_code": sub_code, "sub_msg": "simulated"}


def _answer(desk: Desk, call: Call, name: str, body: dict[str, Any]) -> web.Response:
    # Slashes as Alipay writes them: whoever writes the text anew before checking it finds another signature.
    text = msgspec.json.encode(body).replace(b"/", b"\\/")
    signing = desk.keys.stranger if call.twist in ("forged", "key") else desk.keys.alipay
    signature = base64.b64encode(signing.sign(text, padding.PKCS1v15(), hashes.SHA256()))
    sign = b"" if call.twist == "unsigned" else b',"sign":"' + signature + b'"'
    if desk.plan.alipay_certificates:
        number = "0" * 32 if call.twist == "certificate" else desk.keys.certificates.alipay_sn
        sign = b',"alipay_cert_sn":"' + number.encode() + b'"' + sign
    return web.Response(body=b'{"%s":%s%s}' % (name.encode(), text, sign), content_type="text/html", charset="utf-8")
