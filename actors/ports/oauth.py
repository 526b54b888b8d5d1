"""Third parties that say who somebody is. Promises that hold for every provider behind it."""

from typing import Protocol

from schemas.oauth import LoginReturn, LoginStart, Proof, Provider


class LoginProvider(Protocol):
    """Stateless translation to a provider.

    Nothing expected is raised: a time-out, a broken connection, a failing provider, an answer that cannot be read or
    believed, and keys of ours that the provider refuses are ``LoginUnknown``. A code is good for one try, so that asking
    again means a new login; nobody is ever identified in part. Every call ends within the provider's time-out.
    """

    @property
    def name(self) -> Provider:
        """Which one."""
        ...

    def authorize_url(self, start: LoginStart) -> str:
        """Where the person's browser goes. Pure. It says the state, the nonce and the challenge, where the provider takes them."""
        ...

    async def identify(self, back: LoginReturn, now_s: int) -> Proof:
        """Who came back with this code.

        Denied ``code_invalid`` (expired, used, of another app or another login), ``blocked``, ``not_genuine`` (a signed
        word with a wrong signature, issuer, audience, time or nonce).
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class MiniProgramProvider(Protocol):
    """A provider whose own app runs programs of ours, which get a code without a page or a state."""

    async def identify_mini_program(self, code: str, now_s: int) -> Proof:
        """Who runs the program that got this code."""
        ...
