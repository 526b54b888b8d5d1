"""Alipay's certificate mode: certificates are named by their numbers, and its answers are signed by the key in its certificate. Pure.

https://opendocs.alipay.com/common/057k53
"""

import hashlib
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from actors.adapters.oauth.alipay_signature import KEY_BITS_MIN

RSA_OIDS: Final = "1.2.840.113549.1.1."
"""Signature algorithms of RSA: only such roots are counted, for their file has Chinese SM2 ones too."""

_END: Final = "-----END CERTIFICATE-----"


class Certificates(NamedTuple):
    """What goes with each call (``app_sn``, ``root_sn``), and what the answer must name and be signed by."""

    app_sn: str
    root_sn: str
    alipay_sn: str
    alipay_key: RSAPublicKey


def certificates(app: str, root: str, alipay: str, private_key: RSAPrivateKey) -> Certificates:
    """Out of the three files of Alipay's console, in PEM. ValueError says which is wrong, and does not show it."""
    own, theirs, roots = _read("app", app)[0], _read("Alipay", alipay)[0], _read("root", root)
    if own.public_key() != private_key.public_key():
        raise ValueError("the app certificate of Alipay is not that of the private key")
    key = theirs.public_key()
    if not isinstance(key, RSAPublicKey) or key.key_size < KEY_BITS_MIN:
        raise ValueError(f"the certificate of Alipay must have an RSA key of at least {KEY_BITS_MIN} bits")
    counted = [number_of(one) for one in roots if one.signature_algorithm_oid.dotted_string.startswith(RSA_OIDS)]
    if not counted:
        raise ValueError("the root certificates of Alipay have none of RSA among them")
    return Certificates(number_of(own), "_".join(counted), number_of(theirs), key)


def number_of(certificate: x509.Certificate) -> str:
    """MD5 of the issuer's name (RFC 4514) and the serial number: a name, which proves nothing."""
    text = certificate.issuer.rfc4514_string() + str(certificate.serial_number)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _read(name: str, text: str) -> list[x509.Certificate]:
    """All certificates of a file, its own first."""
    try:
        found = [x509.load_pem_x509_certificate((part + _END).encode()) for part in text.split(_END)[:-1]]
    except ValueError:
        found = []
    if not found:
        raise ValueError(f"the {name} certificate of Alipay cannot be read")
    return found
