"""Personal fields at rest: sealed, so that a copy of the database alone tells nothing of anybody.

A sealed field is ``version | key id | nonce | AES-256-GCM``. What it is and whose it is are authenticated with it, so a
field that was moved to another row or column does not open. Keys change by being added: the newest seals, all of them
open, and ``reseal`` (``stampede privacy run``) writes old fields anew. To find a row by a field there is a keyed
fingerprint, which never changes its key: it would have to be computed from every field again.

The keys are in ``STAMPEDE_FIELD_KEYS`` or in a file of the data directory, never in the database.
"""

import base64
import binascii
import hmac
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from actors.storage.embedded.traces import write_private
from schemas.settings import Settings

PLAIN: Final = 0
"""The version of a field from before fields were sealed: the text itself follows."""

SEALED: Final = 1
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
LOOKUP_BYTES: Final = 16
LOOKUP: Final = "lookup"
FILE: Final = "field.keys"

CHECK: Final = b"stampede.field_key"
CHECKS: Final = "SELECT name, fingerprint FROM field_key"
ADD_CHECK: Final = "INSERT INTO field_key (name, fingerprint) VALUES ($1, $2) ON CONFLICT DO NOTHING"


class WrongKeys(Exception):
    """The keys cannot be those that this database was sealed with: the one called ``name`` is another one, or missing."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Unreadable(Exception):
    """A sealed field does not open: it was altered, moved, or its key is gone."""


class FieldKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Keys by id (1 to 255): ``current`` seals, all open. ``lookup`` makes fingerprints and stays. ValueError when unusable."""

    current: int
    keys: dict[int, bytes]
    lookup: bytes

    def __post_init__(self) -> None:
        if self.current not in self.keys or not all(1 <= key_id <= 255 for key_id in self.keys):
            raise ValueError("a key needs an id from 1 to 255")
        if any(len(key) != KEY_BYTES for key in (*self.keys.values(), self.lookup)):
            raise ValueError(f"a key has {KEY_BYTES} bytes, in base64")

    def __repr__(self) -> str:
        return f"FieldKeys(current={self.current}, ids={sorted(self.keys)})"


def parse_keys(text: str) -> FieldKeys:
    """Keys as ``1=<base64>,2=<base64>,lookup=<base64>``; the highest id is the current one. ValueError names no key."""
    found: dict[str, bytes] = {}
    for part in filter(None, (piece.strip() for piece in text.replace("\n", ",").split(","))):
        name, _, value = part.partition("=")
        try:
            found[name.strip()] = base64.b64decode(value.strip(), validate=True)
        except binascii.Error as error:
            raise ValueError(f"the field key {name.strip()[:10]!r} is no base64") from error
    lookup = found.pop(LOOKUP, b"")
    if not found or not all(name.isdigit() for name in found):
        raise ValueError("field keys are written as 1=<base64>,lookup=<base64>")
    keys = {int(name): key for name, key in found.items()}
    return FieldKeys(current=max(keys), keys=keys, lookup=lookup)


def write_keys(keys: FieldKeys) -> str:
    """The inverse of :func:`parse_keys`."""
    named = [*((str(key_id), key) for key_id, key in sorted(keys.keys.items())), (LOOKUP, keys.lookup)]
    return ",".join(f"{name}={base64.b64encode(key).decode()}" for name, key in named)


def kept_keys(directory: Path, random_bytes: Callable[[int], bytes] = os.urandom) -> FieldKeys:
    """The keys of a data directory, made on its first start. They belong into every backup, apart from the database's."""
    path = directory / FILE
    if not path.exists():
        made = FieldKeys(current=1, keys={1: random_bytes(KEY_BYTES)}, lookup=random_bytes(KEY_BYTES))
        write_private(path, write_keys(made).encode())
    return parse_keys(path.read_text())


def keys_of(settings: Settings) -> FieldKeys:
    """The keys in force. ValueError when they cannot be read."""
    return parse_keys(settings.field_keys) if settings.field_keys else kept_keys(settings.data_path)


class Sealer:
    """Seals and opens. ``purpose`` says which field it is, ``owner`` whose; both must be the same again to open it."""

    def __init__(self, keys: FieldKeys, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self.current = keys.current
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.keys.items()}
        self._keys = keys
        self._random = random_bytes

    def seal(self, purpose: str, owner: str, text: str) -> bytes:
        """The field as it is kept: 30 bytes longer than the text."""
        nonce = self._random(NONCE_BYTES)
        head = bytes((SEALED, self.current))
        return head + nonce + self._ciphers[self.current].encrypt(nonce, text.encode(), _about(purpose, owner))

    def open(self, purpose: str, owner: str, data: bytes) -> str:
        """The text. Unreadable when it is not what was sealed for this purpose and owner."""
        if data[:1] == bytes((PLAIN,)):
            return data[1:].decode()
        cipher = self._ciphers.get(data[1]) if len(data) > 2 + NONCE_BYTES and data[0] == SEALED else None
        if cipher is None:
            raise Unreadable(f"{purpose} of {owner}: its key is not among the field keys")
        try:
            return cipher.decrypt(data[2 : 2 + NONCE_BYTES], data[2 + NONCE_BYTES :], _about(purpose, owner)).decode()
        except InvalidTag:
            raise Unreadable(f"{purpose} of {owner} was altered or moved") from None

    def is_old(self, data: bytes) -> bool:
        """True when a field should be sealed anew."""
        return data[:2] != bytes((SEALED, self.current))

    def lookup(self, purpose: str, text: str) -> bytes:
        """The fingerprint to find a row by: the same for the same text, and nobody without the key can make it."""
        return hmac.digest(self._keys.lookup, purpose.encode() + b"\0" + text.encode(), "sha256")[:LOOKUP_BYTES]

    def digest(self, purpose: str, *parts: str) -> bytes:
        """A keyed hash of short secrets (codes of six digits) that a reader of the tables cannot try out."""
        framed = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in (purpose, *parts))
        return hmac.digest(self._keys.lookup, b"digest\0" + framed, "sha256")

    async def check(self, connection: Any) -> None:
        """WrongKeys unless this database's fields were sealed with these keys. New keys are written down as theirs."""
        named = {str(key_id): key for key_id, key in self._keys.keys.items()} | {LOOKUP: self._keys.lookup}
        marks = {name: hmac.digest(key, CHECK, "sha256")[:LOOKUP_BYTES] for name, key in named.items()}
        for name, mark in marks.items():
            await connection.execute(ADD_CHECK, name, mark)
        for row in await connection.fetch(CHECKS):
            if marks.get(row["name"]) != row["fingerprint"]:
                raise WrongKeys(row["name"])


def _about(purpose: str, owner: str) -> bytes:
    return purpose.encode() + b"\0" + owner.encode()
