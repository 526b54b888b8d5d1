"""The keys of both sides: the shop's, as a console would hand them out, and the providers' own."""

from typing import Final

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import ECKey, RSAKey

from actors.testing.oauth_simulator.certificates import issued
from actors.testing.oauth_simulator.plan import AppKeys

RSA_BITS: Final = 2048


class SimulatorKeys:
    """Made anew for every simulator; they are worth nothing elsewhere.

    apple: by ``kid``, the current one last. unpublished: Apple never shows it.
    """

    def __init__(self) -> None:
        app = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        self.alipay = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        self.stranger = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        self.alipay_app = app.public_key()
        apple_app = ECKey.generate_key("P-256", private=True)
        self.apple_app = ECKey.import_key(apple_app.as_dict(private=False))
        self.apple: dict[str, RSAKey] = {}
        self._made = 0
        self.unpublished = RSAKey.generate_key(RSA_BITS, private=True)
        self.rotate()
        self.certificates = issued(self.alipay_app, self.alipay.public_key())
        self.given = AppKeys(
            alipay_app_cert=self.certificates.app,
            alipay_root_cert=self.certificates.root,
            alipay_cert=self.certificates.alipay,
            alipay_private_key=pem_of(app),
            alipay_public_key=_public_pem(self.alipay.public_key()),
            apple_private_key=apple_app.as_pem(private=True).decode(),
        )

    def rotate(self) -> None:
        """A new current key of Apple's; the one before stays published, as Apple does it."""
        self._made += 1
        self.apple = dict([*list(self.apple.items())[-1:], (f"APPLE{self._made}", RSAKey.generate_key(RSA_BITS, private=True))])

    def jwks(self) -> bytes:
        """Apple's ``auth/keys``."""
        keys = [{**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": "RS256"} for kid, key in self.apple.items()]
        return msgspec.json.encode({"keys": keys})


def pem_of(key: rsa.RSAPrivateKey) -> str:
    """A private key as a shop would be given it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()  # fmt: skip


def _public_pem(key: rsa.RSAPublicKey) -> str:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
