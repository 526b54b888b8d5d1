"""What people ask of their data, over HTTP."""

from typing import Annotated, Literal

import msgspec

from schemas.http.shapes import Timestamp


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of everything about oneself. ``expires_at``: until when it can be fetched; null while it is being made."""

    export_id: str
    state: Literal["waiting", "done", "failed"]
    asked_at: Timestamp
    expires_at: Timestamp | None


class EraseMe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask to be forgotten. ``password``: the account's."""

    password: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """The account is erased at ``due_at``, unless somebody logs in to it before."""

    due_at: Timestamp
