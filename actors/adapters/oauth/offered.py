"""Which third parties this shop offers: those that it was given keys for."""

from pathlib import Path
from typing import Final

from actors.adapters.oauth.alipay import AlipayLogin
from actors.adapters.oauth.apple import AppleLogin
from actors.adapters.oauth.qq import QQLogin
from actors.adapters.oauth.wechat import WeChatLogin
from actors.ports.oauth import LoginProvider, MiniProgramProvider
from schemas.settings import Settings

FILE: Final = "file:"
"""Before a path, in place of a secret: what stands in a file is in no list of processes and in no shell's history."""


class Logins:
    """The offered providers of one replica, by name. apple: who is told by Apple's server; apple_native: where there is an app."""

    def __init__(
        self,
        providers: tuple[LoginProvider, ...] = (),
        mini_program: MiniProgramProvider | None = None,
        apple: AppleLogin | None = None,
        apple_native: bool = False,
    ) -> None:
        self.providers = {provider.name: provider for provider in providers}
        self.mini_program = mini_program
        self.apple = apple
        self.apple_native = apple if apple_native else None

    async def close(self) -> None:
        """Close all connections."""
        for provider in self.providers.values():
            await provider.close()


def logins_of(settings: Settings) -> Logins:
    """The providers whose keys the settings hold. ValueError when a key cannot be read, or is there by half."""
    providers: list[LoginProvider] = []
    apple: AppleLogin | None = None
    wechat = _wechat(settings)
    if wechat is not None and settings.wechat_app_id:
        providers.append(wechat)
    if _whole("QQ", settings.qq_app_id, settings.qq_app_key):
        providers.append(QQLogin(app_id=settings.qq_app_id, app_key=secret_of(settings.qq_app_key), url=settings.qq_url))
    certificates = (settings.alipay_app_cert, settings.alipay_root_cert, settings.alipay_cert)
    if any(certificates) and settings.alipay_public_key:
        raise ValueError("STAMPEDE_ALIPAY_*: either the public key or the three certificates, and not both")
    trusted = certificates if any(certificates) else (settings.alipay_public_key,)
    if _whole("ALIPAY", settings.alipay_app_id, settings.alipay_private_key, *trusted):
        providers.append(
            AlipayLogin(
                app_id=settings.alipay_app_id,
                app_private_key=secret_of(settings.alipay_private_key),
                alipay_public_key=secret_of(settings.alipay_public_key),
                app_cert=secret_of(settings.alipay_app_cert),
                root_cert=secret_of(settings.alipay_root_cert),
                alipay_cert=secret_of(settings.alipay_cert),
                authorize_url=settings.alipay_authorize_url,
                gateway_url=settings.alipay_gateway_url,
            )
        )
    if _whole("APPLE", settings.apple_client_id, settings.apple_team_id, settings.apple_key_id, settings.apple_private_key):
        apple = AppleLogin(
            client_id=settings.apple_client_id,
            team_id=settings.apple_team_id,
            key_id=settings.apple_key_id,
            private_key=secret_of(settings.apple_private_key),
            url=settings.apple_url,
            app_id=settings.apple_app_id,
        )
        providers.append(apple)
    return Logins(tuple(providers), wechat if settings.wechat_mini_app_id else None, apple, bool(settings.apple_app_id))


def _wechat(settings: Settings) -> WeChatLogin | None:
    site = _whole("WECHAT", settings.wechat_app_id, settings.wechat_app_secret)
    mini = _whole("WECHAT_MINI", settings.wechat_mini_app_id, settings.wechat_mini_app_secret)
    if not site and not mini:
        return None
    return WeChatLogin(
        app_id=settings.wechat_app_id,
        app_secret=secret_of(settings.wechat_app_secret),
        mini_app_id=settings.wechat_mini_app_id,
        mini_app_secret=secret_of(settings.wechat_mini_app_secret),
        authorize_url=settings.wechat_authorize_url,
        api_url=settings.wechat_api_url,
    )


def _whole(name: str, *values: str) -> bool:
    if any(values) and not all(values):
        raise ValueError(f"STAMPEDE_{name}_*: some of the keys of this login are set and some are not")
    return all(values)


def secret_of(value: str) -> str:
    """A secret itself, or what stands in the file that ``file:`` names. ValueError names the file that cannot be read."""
    if not value.startswith(FILE):
        return value
    path = Path(value.removeprefix(FILE)).expanduser()
    try:
        return path.read_text().strip()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
