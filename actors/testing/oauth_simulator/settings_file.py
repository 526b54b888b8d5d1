"""What a shop needs to know of a simulator, as variables and files that only their owner reads."""

import os
from pathlib import Path

from actors.testing.oauth_simulator.plan import AppKeys


def variables(url: str, given: AppKeys) -> dict[str, str]:
    """The settings by name, secrets as they are."""
    return {
        "STAMPEDE_WECHAT_APP_ID": given.wechat_app_id,
        "STAMPEDE_WECHAT_APP_SECRET": given.wechat_app_secret,
        "STAMPEDE_WECHAT_MINI_APP_ID": given.wechat_mini_app_id,
        "STAMPEDE_WECHAT_MINI_APP_SECRET": given.wechat_mini_app_secret,
        "STAMPEDE_WECHAT_AUTHORIZE_URL": url,
        "STAMPEDE_WECHAT_API_URL": url,
        "STAMPEDE_QQ_APP_ID": given.qq_app_id,
        "STAMPEDE_QQ_APP_KEY": given.qq_app_key,
        "STAMPEDE_QQ_URL": url,
        "STAMPEDE_ALIPAY_APP_ID": given.alipay_app_id,
        "STAMPEDE_ALIPAY_PRIVATE_KEY": given.alipay_private_key,
        "STAMPEDE_ALIPAY_PUBLIC_KEY": given.alipay_public_key,
        "STAMPEDE_ALIPAY_AUTHORIZE_URL": url,
        "STAMPEDE_ALIPAY_GATEWAY_URL": f"{url}/gateway.do",
        "STAMPEDE_APPLE_CLIENT_ID": given.apple_client_id,
        "STAMPEDE_APPLE_APP_ID": given.apple_app_id,
        "STAMPEDE_APPLE_TEAM_ID": given.apple_team_id,
        "STAMPEDE_APPLE_KEY_ID": given.apple_key_id,
        "STAMPEDE_APPLE_PRIVATE_KEY": given.apple_private_key,
        "STAMPEDE_APPLE_URL": url,
    }


def write_settings(directory: Path, url: str, given: AppKeys) -> Path:
    """Write ``logins.env`` to be sourced by a shell, and the keys beside it; answers its path."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = []
    for name, value in variables(url, given).items():
        if "\n" in value:
            path = directory / (name.removeprefix("STAMPEDE_").lower() + ".pem")
            _write(path, value)
            value = f"file:{path.resolve()}"
        lines.append(f"export {name}='{value}'\n")
    _write(directory / "logins.env", "".join(lines))
    return directory / "logins.env"


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
