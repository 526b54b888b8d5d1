"""HTTP/1.1 answers cut out of a byte stream: as little as a load generator needs. Pure."""

from typing import Final

import msgspec

_END: Final = b"\r\n\r\n"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One whole answer. size: its bytes on the wire. closes: the server ends the connection after it."""

    status: int
    body: bytes
    size: int
    closes: bool


def next_answer(data: bytes) -> Answer | None:
    """The answer at the beginning of ``data``; None while it is not whole. ValueError when it is not HTTP."""
    split = data.find(_END)
    if split < 0:
        return None
    head = data[:split].lower()
    if not head.startswith(b"http/1."):
        raise ValueError("not an HTTP answer")
    status, closes = int(head[9:12]), b"\r\nconnection: close" in head
    if b"\r\ntransfer-encoding: chunked" in head:
        return _chunked(data, split + 4, status, closes)
    at = head.find(b"\r\ncontent-length:")
    length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    size = split + 4 + length
    return Answer(status=status, body=data[split + 4 : size], size=size, closes=closes) if len(data) >= size else None


def text_field(body: bytes, name: bytes) -> str:
    """The first value of a string field in a JSON body, found without parsing the rest; empty when there is none."""
    at = body.find(b'"' + name + b'"')
    if at < 0:
        return ""
    start = body.find(b'"', at + len(name) + 2) + 1
    return body[start : body.find(b'"', start)].decode(errors="replace") if start else ""


def _chunked(data: bytes, at: int, status: int, closes: bool) -> Answer | None:
    parts: list[bytes] = []
    while (line_end := data.find(b"\r\n", at)) >= 0:
        length = int(data[at:line_end].split(b";")[0], 16)
        start = line_end + 2
        if len(data) < start + length + 2:
            return None
        if length == 0:
            return Answer(status=status, body=b"".join(parts), size=start + 2, closes=closes)
        parts.append(data[start : start + length])
        at = start + length + 2
    return None
