"""What a message says, or what is wrong with it. Read when it is taken apart: what cannot be read is kept, for somebody to look at."""

import msgspec

from schemas.providers.wms import INBOUND, PROTOCOL, Envelope, Inbound
from serve.strict_json import Malformed, check

_envelope = msgspec.json.Decoder(Envelope)
_data = {name: msgspec.json.Decoder(kind) for name, kind in INBOUND.items()}


def read_message(body: bytes, message_id: str) -> tuple[Envelope, Inbound] | str:
    """The envelope and what is in it; or why not, as a word and its reason."""
    try:
        check(body)
        envelope = _envelope.decode(body)
        if envelope.protocol != PROTOCOL:
            return "protocol_unknown"
        if envelope.id != message_id:
            return "id_mismatch"
        decoder = _data.get(envelope.type)
        if decoder is None:
            return "type_unknown"
        return envelope, decoder.decode(envelope.data)
    except Malformed as error:
        return f"malformed: {error.reason}"
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f"unreadable: {error}"
