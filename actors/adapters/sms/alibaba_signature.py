"""Alibaba Cloud's request signature, version 3 (ACS3-HMAC-SHA256). Pure.

https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

ALGORITHM: Final = "ACS3-HMAC-SHA256"


def canonical_query(params: Mapping[str, str]) -> str:
    """Parameters in the order of their names, percent-encoded as RFC 3986 wants it. It is also what is sent."""
    return "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(params.items()))


def canonical_request(method: str, query: str, headers: Mapping[str, str], payload_hash: str) -> tuple[str, str]:
    """(the canonical request, the names of its signed headers). ``headers``: lower case; host, content-type and x-acs-* are signed."""
    signed = sorted(name for name in headers if name.startswith("x-acs-") or name in ("host", "content-type"))
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in signed)
    names = ";".join(signed)
    return f"{method}\n/\n{query}\n{lines}\n{names}\n{payload_hash}", names


def signed_headers(
    *, key_id: str, secret: str, host: str, action: str, version: str, query: str, date: str, nonce: str, body: bytes = b""
) -> dict[str, str]:
    """The headers of one POST to ``/``. ``date``: ``2023-10-26T10:22:32Z``; ``nonce``: never used before."""
    payload_hash = hashlib.sha256(body).hexdigest()
    headers = {
        "host": host,
        "x-acs-action": action,
        "x-acs-content-sha256": payload_hash,
        "x-acs-date": date,
        "x-acs-signature-nonce": nonce,
        "x-acs-version": version,
    }
    request, names = canonical_request("POST", query, headers, payload_hash)
    to_sign = f"{ALGORITHM}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.digest(secret.encode(), to_sign.encode(), "sha256").hex()
    return headers | {"Authorization": f"{ALGORITHM} Credential={key_id},SignedHeaders={names},Signature={signature}"}
