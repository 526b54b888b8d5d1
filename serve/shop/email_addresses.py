"""One canonical form of an e-mail address, so that an address is one account however it is typed."""

import re
import unicodedata
from typing import Final

_LOCAL: Final = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}\Z")
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")


def canonical(text: str) -> str | None:
    """Lower case, NFKC, the domain in its ASCII form; None when it is no address that we can write to."""
    local, at, domain = unicodedata.normalize("NFKC", text).strip().lower().rpartition("@")
    if not at or not _LOCAL.match(local) or local[0] == "." or local[-1] == "." or ".." in local:
        return None
    try:
        host = domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    labels = host.split(".")
    if len(labels) < 2 or not all(_LABEL.match(label) for label in labels) or labels[-1].isdigit():
        return None
    whole = f"{local}@{host}"
    return whole if len(whole) <= 254 else None
