"""An authenticator as a browser has one, in software: makes passkeys and signs with them, in WebAuthn's own formats.

It can be told to count wrongly, to skip the question for a finger, and to answer for another page or shop.
"""

import base64
import hashlib
import json
import os
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import encode_cbor

PRESENT = 0x01
VERIFIED = 0x04
ATTESTED = 0x40


def base64url(data: bytes) -> str:
    """Base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Credential:
    """One passkey. ``count``: of its signatures; 0 for ever when it does not count."""

    def __init__(self, rp_id: str, user_handle: bytes, credential_id: bytes, *, counts: bool) -> None:
        self.rp_id = rp_id
        self.user_handle = user_handle
        self.id = credential_id
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.counts = counts
        self.count = 0

    def public_key(self) -> bytes:
        """In COSE: an EC2 key of ES256."""
        numbers = self.key.public_key().public_numbers()
        return encode_cbor({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")})


class Authenticator:
    """Holds passkeys, and answers the questions that a page of ``origin`` passes on."""

    def __init__(self, origin: str = "http://localhost", *, verifies: bool = True, counts: bool = True) -> None:
        self.origin = origin
        self.verifies = verifies
        self.counts = counts
        self.credentials: list[Credential] = []

    def create(self, options: dict[str, Any], *, credential_id: bytes = b"") -> dict[str, Any]:
        """``navigator.credentials.create()``, as ``toJSON()`` gives it."""
        credential = Credential(
            options["rp"]["id"], _bytes(options["user"]["id"]), credential_id or os.urandom(32), counts=self.counts
        )  # fmt: skip
        self.credentials.append(credential)
        attested = bytes(16) + len(credential.id).to_bytes(2, "big") + credential.id + credential.public_key()
        data = self._data(credential, ATTESTED) + attested
        response = {
            "clientDataJSON": base64url(self._client_data("webauthn.create", options["challenge"])),
            "attestationObject": base64url(encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})),
            "transports": ["internal"],
        }
        return self._answer(credential, response)

    def get(self, options: dict[str, Any], *, credential: Credential | None = None) -> dict[str, Any]:
        """``navigator.credentials.get()``, with the newest passkey that is allowed. LookupError when it has none."""
        allowed = {_bytes(one["id"]) for one in options.get("allowCredentials", ())}
        usable = [one for one in self.credentials if one.rp_id == options["rpId"] and (not allowed or one.id in allowed)]
        if credential is None:
            if not usable:
                raise LookupError("no passkey for this shop")
            credential = usable[-1]
        if credential.counts:
            credential.count += 1
        client_data, data = self._client_data("webauthn.get", options["challenge"]), self._data(credential, 0)
        signature = credential.key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": base64url(client_data),
            "authenticatorData": base64url(data),
            "signature": base64url(signature),
            "userHandle": base64url(credential.user_handle),
        }
        return self._answer(credential, response)

    def _data(self, credential: Credential, more: int) -> bytes:
        flags = PRESENT | (VERIFIED if self.verifies else 0) | more
        return hashlib.sha256(credential.rp_id.encode()).digest() + bytes((flags,)) + credential.count.to_bytes(4, "big")

    def _client_data(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}).encode()

    def _answer(self, credential: Credential, response: dict[str, Any]) -> dict[str, Any]:
        name = base64url(credential.id)
        return {
            "id": name,
            "rawId": name,
            "type": "public-key",
            "response": response,
            "clientExtensionResults": {},
            "authenticatorAttachment": "platform",
        }
