"""Where people come back to from a third party: pages of ours alone."""

from typing import Final
from urllib.parse import urlencode

from schemas.settings import Settings

APPLE_HOOK: Final = "/v1/hooks/apple"
TRY_PAGE: Final = "/dev/login"


class LoginPages:
    """The pages that the settings allow, the first of them for whoever does not ask for one."""

    def __init__(self, settings: Settings) -> None:
        own = f"http://{settings.host}:{settings.direct_port}"
        told = [page.strip() for page in settings.login_return_url.split(",") if page.strip()]
        self._pages = told or [own + TRY_PAGE]
        self.apple_hook = settings.login_hook_url or own + APPLE_HOOK

    def allowed(self, asked: str | None) -> str | None:
        """The page to come back to; None for one that is not ours. Compared as it stands: no pattern has ever kept all others out."""
        if asked is None:
            return self._pages[0]
        return asked if asked in self._pages else None


def with_fragment(page: str, fields: dict[str, str]) -> str:
    """A page with fields behind ``#``: browsers send that part to no server, and to no other page as a referrer."""
    return f"{page}#{urlencode(fields)}"
