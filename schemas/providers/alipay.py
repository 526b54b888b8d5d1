"""Alipay's answers, each beside the signature of its exact text.

https://opendocs.alipay.com/open/284/web, https://opendocs.alipay.com/common/02mse7
"""

import msgspec


class AlipayToken(msgspec.Struct, frozen=True, kw_only=True):
    """``alipay.system.oauth.token``. ``user_id`` is of all apps and being retired; ``open_id`` is of one app. Either or both come."""

    access_token: str
    user_id: str = ""
    open_id: str = ""

    def __repr__(self) -> str:
        return "AlipayToken()"


class AlipayUser(msgspec.Struct, frozen=True, kw_only=True):
    """``alipay.user.info.share``. ``code`` "10000" is success."""

    code: str = "10000"
    user_id: str = ""
    open_id: str = ""
    nick_name: str = ""


class AlipayError(msgspec.Struct, frozen=True, kw_only=True):
    """``error_response``, or an answer that is one."""

    code: str = ""
    sub_code: str = ""
