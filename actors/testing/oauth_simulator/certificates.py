"""Certificates as Alipay's console would hand them out: an app's, Alipay's own, and a file of roots of several algorithms."""

import datetime
import hashlib
from typing import Any, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

_DAY: Final = datetime.timedelta(days=1)
_BEGUN: Final = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


class Issued(NamedTuple):
    """The three files, and the numbers that calls and answers name them by."""

    app: str
    root: str
    alipay: str
    app_sn: str
    root_sn: str
    alipay_sn: str


def issued(app: rsa.RSAPublicKey, alipay: rsa.RSAPublicKey) -> Issued:
    """Of these keys. The roots are one of RSA and one of an elliptic curve, which is not counted, as Alipay's SM2 ones are not."""
    rsa_root, curve_root = rsa.generate_private_key(public_exponent=65537, key_size=2048), ec.generate_private_key(ec.SECP256R1())
    names = {name: f"Simulated {name}" for name in ("root", "curve", "app", "alipay")}
    pem = {
        "curve": _certificate(names["curve"], 2, curve_root.public_key(), names["curve"], curve_root),
        "root": _certificate(names["root"], 1, rsa_root.public_key(), names["root"], rsa_root),
        "app": _certificate(names["app"], 4711, app, names["root"], rsa_root),
        "alipay": _certificate(names["alipay"], 4712, alipay, names["root"], rsa_root),
    }
    return Issued(
        app=pem["app"], root=pem["curve"] + pem["root"], alipay=pem["alipay"] + pem["root"],
        app_sn=_number(names["root"], 4711), root_sn=_number(names["root"], 1), alipay_sn=_number(names["root"], 4712),
    )  # fmt: skip


def _number(issuer: str, serial: int) -> str:
    # As Alipay's Python library writes the name: its own words, not this library's.
    return hashlib.md5(f"CN={issuer},OU=Certification Authority,O=Simulated,C=CN{serial}".encode(), usedforsecurity=False).hexdigest()


def _name(common: str) -> x509.Name:
    parts = (
        (NameOID.COUNTRY_NAME, "CN"), (NameOID.ORGANIZATION_NAME, "Simulated"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "Certification Authority"), (NameOID.COMMON_NAME, common),
    )  # fmt: skip
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def _certificate(subject: str, serial: int, key: Any, issuer: str, signing: Any) -> str:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(_BEGUN)
        .not_valid_after(_BEGUN + 36_500 * _DAY)
    )
    return builder.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
