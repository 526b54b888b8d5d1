"""Alipay's RSA2: SHA256withRSA over sorted parameters on the way out, and over the exact text of the answer on the way in. Pure.

https://opendocs.alipay.com/common/02khjm, https://opendocs.alipay.com/common/02mse7
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

KEY_BITS_MIN: Final = 2048
"""RSA2 asks for it."""

_SIGN: Final = "sign"
_CERTIFICATE: Final = "alipay_cert_sn"


def signing_content(parameters: Mapping[str, str]) -> str:
    """What is signed: all parameters but ``sign`` and empty ones, by name in ASCII order, as they are and not as in a URL."""
    return "&".join(f"{name}={value}" for name, value in sorted(parameters.items()) if name != _SIGN and value)


def signed(parameters: Mapping[str, str], key: RSAPrivateKey) -> str:
    """The value of ``sign``."""
    return base64.b64encode(key.sign(signing_content(parameters).encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


def verified(content: bytes, signature: str, key: RSAPublicKey) -> bool:
    """True when the key's owner signed exactly these bytes."""
    try:
        key.verify(base64.b64decode(signature, validate=True), content, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def signed_part(body: bytes, names: tuple[str, ...], key: RSAPublicKey, certificate: str = "") -> tuple[str, bytes] | None:
    """(name, text) of the answer's one signed part, if it is one of ``names`` and its signature fits; else None.

    certificate: the number of the one whose key it is, which the answer must name.

    The text is cut out of the body as it stands: written anew it would not be what was signed.
    """
    try:
        parts = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        signature = msgspec.json.decode(parts.pop(_SIGN, b'""'), type=str)
        named = msgspec.json.decode(parts.pop(_CERTIFICATE, b'""'), type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if certificate and named != certificate:
        return None
    for name in names:
        part = parts.get(name)
        if part is not None:
            text = bytes(part)
            return (name, text) if verified(text, signature, key) else None
    return None


def private_key(text: str) -> RSAPrivateKey:
    """Our key: PEM, or the bare base64 that Alipay's own tool writes (PKCS#8 or PKCS#1). ValueError says what is wrong, not the key."""
    try:
        data = text.encode() if "-----BEGIN" in text else _der(text)
        load = serialization.load_pem_private_key if "-----BEGIN" in text else serialization.load_der_private_key
        key = load(data, password=None)
    except (ValueError, TypeError):
        raise ValueError("the private key of Alipay cannot be read") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < KEY_BITS_MIN:
        raise ValueError(f"the private key of Alipay must be RSA of at least {KEY_BITS_MIN} bits")
    return key


def public_key(text: str) -> RSAPublicKey:
    """Alipay's key (not ours), as its console shows it, or as PEM. ValueError when it is none."""
    try:
        pem = "-----BEGIN" in text
        key = serialization.load_pem_public_key(text.encode()) if pem else serialization.load_der_public_key(_der(text))
    except ValueError:
        raise ValueError("the public key of Alipay cannot be read") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < KEY_BITS_MIN:
        raise ValueError(f"the public key of Alipay must be RSA of at least {KEY_BITS_MIN} bits")
    return key


def _der(text: str) -> bytes:
    return base64.b64decode("".join(text.split()), validate=True)
