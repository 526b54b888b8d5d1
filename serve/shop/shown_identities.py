"""What is shown of an identity to whom it belongs: enough to know it again, too little for whoever looks over a shoulder."""

from typing import Final

from actors.storage.identities import Identity

STARS: Final = "***"
PHONE_TAIL: Final = 4


def shown(identity: Identity) -> str:
    """``k***@example.com``, ``+86138***5678``, or the name at the third party."""
    match identity.kind:
        case "email":
            name, _, domain = identity.subject.rpartition("@")
            return f"{name[:1]}{STARS}@{domain}"
        case "phone":
            tail = identity.subject[-PHONE_TAIL:]
            return f"{identity.subject[: max(3, len(identity.subject) - PHONE_TAIL - 4)]}{STARS}{tail}"
        case _:
            return identity.name
