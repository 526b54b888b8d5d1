"""WeChat's answers. Every one may be an error instead, with HTTP 200; ``errcode`` 0 is none.

https://developers.weixin.qq.com/doc/oplatform/Website_App/WeChat_Login/Wechat_Login.html
"""

import msgspec


class WeChatToken(msgspec.Struct, frozen=True, kw_only=True):
    """``sns/oauth2/access_token``. ``openid`` is of one app; ``unionid``, of all apps of one open-platform account, may be missing."""

    errcode: int = 0
    access_token: str = ""
    openid: str = ""
    unionid: str = ""

    def __repr__(self) -> str:
        return f"WeChatToken(errcode={self.errcode})"


class WeChatUser(msgspec.Struct, frozen=True, kw_only=True):
    """``sns/userinfo``."""

    errcode: int = 0
    openid: str = ""
    unionid: str = ""
    nickname: str = ""


class WeChatSession(msgspec.Struct, frozen=True, kw_only=True):
    """``sns/jscode2session``. Its ``session_key`` opens data of the person that nobody here has a use for: it is not read."""

    errcode: int = 0
    openid: str = ""
    unionid: str = ""
