"""What the owner of an account is told wherever it can be reached, so that nobody else does it unnoticed."""

from serve.answers import timestamp
from serve.framework import ShopRequest


async def tell_owner(request: ShopRequest, user_id: str, template: str, **params: str) -> None:
    """Send a notice to every address of an account, or by SMS where it has none. It goes out in the background."""
    desk = request.desk
    found = await desk.identities.of_user(user_id)
    said = {"at": timestamp(desk.clock.now_ms()), **params}
    emails = [identity.subject for identity in found if identity.kind == "email"]
    phones = [identity.subject for identity in found if identity.kind == "phone"]
    for channel, to in [("email", address) for address in emails] or [("sms", number) for number in phones]:
        desk.codes.notify(channel=channel, to=to, template=template, language=request.head.language, params=said)
