"""Who carries messages to people, as the settings name them. ValueError when these make no sense."""

from actors.adapters.email.smtp import SmtpSender, SmtpServer
from actors.adapters.sms.alibaba import AlibabaSms, parse_templates
from actors.ports.clock import Clock
from schemas.settings import Settings


def sms_of(settings: Settings, clock: Clock) -> AlibabaSms | None:
    """None where no key is set."""
    if not settings.sms_key_id:
        return None
    if not settings.sms_secret or not settings.sms_sign_name or not settings.sms_template:
        raise ValueError("STAMPEDE_SMS_KEY_ID needs STAMPEDE_SMS_SECRET, STAMPEDE_SMS_SIGN_NAME and STAMPEDE_SMS_TEMPLATE beside it")
    return AlibabaSms(
        clock=clock,
        key_id=settings.sms_key_id,
        secret=settings.sms_secret,
        sign_name=settings.sms_sign_name,
        templates=parse_templates(settings.sms_template),
        url=settings.sms_url,
    )


def email_of(settings: Settings, clock: Clock) -> SmtpSender | None:
    """None where no server is set."""
    if not settings.smtp_url:
        return None
    return SmtpSender(clock=clock, server=SmtpServer(settings.smtp_url), mail_from=settings.mail_from)
