"""Wire bodies of Alibaba Cloud's SMS API (dysmsapi 2017-05-25): the parts that we read."""

import msgspec


class SendSmsAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The answer to ``SendSms``. ``code`` is ``OK``, ``isv.…`` (our request), ``isp.…`` (their side), or one of the gateway's."""

    code: str
    message: str = ""
    request_id: str = ""
    biz_id: str = ""
