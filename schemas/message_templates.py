"""The messages that people get: one row a template, in both languages. ``{name}`` is filled from the message's parameters.

A template is also what is registered at an SMS provider, in its own notation: ``{code}`` is ``${code}`` at Alibaba Cloud.
"""

from typing import Final

import msgspec

LANGUAGES: Final = ("en", "zh-CN")


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """One language of a template: the subject and body of an e-mail, and the text message."""

    subject: str
    body: str
    sms: str


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """``params``: what its texts are filled with."""

    params: tuple[str, ...]
    en: Text
    zh: Text


TEMPLATES: Final[dict[str, Template]] = {
    "code": Template(
        params=("code", "minutes"),
        en=Text(
            subject="Your verification code",
            body="Your code is {code}. It is good for {minutes} minutes, and once.\n\nNobody of us will ever ask you for it. "
            "If you did not ask for a code, ignore this message.\n",
            sms="Your code is {code}, good for {minutes} minutes. Never tell it to anybody.",
        ),
        zh=Text(
            subject="您的验证码",
            body="您的验证码是 {code},{minutes} 分钟内有效,仅可使用一次。\n\n我们的工作人员绝不会向您索要验证码。"
            "如非本人操作,请忽略本邮件。\n",
            sms="您的验证码是{code},{minutes}分钟内有效,请勿告诉他人。",
        ),
    ),
    "account_exists": Template(
        params=(),
        en=Text(
            subject="You already have an account",
            body="Somebody, perhaps you, wanted to open an account with this address. There is one already: log in, "
            "or set a new password if you have forgotten yours.\n\nIf it was not you, you need not do anything.\n",
            sms="You already have an account with this number: log in, or set a new password.",
        ),
        zh=Text(
            subject="您已拥有账号",
            body="有人(可能是您本人)尝试用此邮箱注册账号。该邮箱已注册,请直接登录;如忘记密码,可重新设置。\n\n如非本人操作,无需处理。\n",
            sms="该号码已注册,请直接登录;如忘记密码,可重新设置。",
        ),
    ),
    "no_account": Template(
        params=(),
        en=Text(
            subject="There is no account with this address",
            body="Somebody, perhaps you, wanted to set a new password for this address. No account has it: perhaps you used "
            "another address or a phone number.\n\nIf it was not you, you need not do anything.\n",
            sms="Somebody wanted to set a new password, but no account has this number.",
        ),
        zh=Text(
            subject="该邮箱尚未注册",
            body="有人(可能是您本人)尝试为此邮箱重设密码,但该邮箱没有对应的账号。您可能使用了其他邮箱或手机号注册。\n\n如非本人操作,无需处理。\n",
            sms="有人尝试重设密码,但该号码尚未注册账号。",
        ),
    ),
    "new_device": Template(
        params=("device", "at"),
        en=Text(
            subject="A login from a new device",
            body="Your account was logged in to from a new device.\n\nDevice: {device}\nTime: {at}\n\nIf it was not you, end that "
            "session and change your password.\n",
            sms="Your account was logged in to from a new device at {at}. If it was not you, change your password.",
        ),
        zh=Text(
            subject="新设备登录提醒",
            body="您的账号在新设备上登录。\n\n设备:{device}\n时间:{at}\n\n如非本人操作,请退出该会话并修改密码。\n",
            sms="您的账号于{at}在新设备登录,如非本人操作请修改密码。",
        ),
    ),
    "password_changed": Template(
        params=("at",),
        en=Text(
            subject="Your password was changed",
            body="The password of your account was changed at {at}. All other sessions were ended.\n\nIf it was not you, set a new "
            "password at once.\n",
            sms="Your password was changed at {at}. If it was not you, set a new one at once.",
        ),
        zh=Text(
            subject="密码已修改",
            body="您的账号密码已于 {at} 修改,其他登录会话均已退出。\n\n如非本人操作,请立即重新设置密码。\n",
            sms="您的密码已于{at}修改,如非本人操作请立即重设。",
        ),
    ),
    "payout_changed": Template(
        params=("account", "in_force_at", "at"),
        en=Text(
            subject="Another payout account",
            body="Another account was set for the payouts of your firm.\n\nAccount: {account}\nSet at: {at}\n"
            "In force from: {in_force_at}\n\nIf it was not you, call it off before then and change your password.\n",
            sms="Payout account {account} was set for your firm, in force from {in_force_at}. Not you? Call it off.",
        ),
        zh=Text(
            subject="收款账户已变更",
            body="您的商家已设置新的收款账户。\n\n账户:{account}\n设置时间:{at}\n生效时间:{in_force_at}\n\n如非本人操作,请在生效前撤销,并修改密码。\n",
            sms="收款账户改为{account},{in_force_at}生效。非本人操作请撤销。",
        ),
    ),
    "recovery_used": Template(
        params=("at", "left"),
        en=Text(
            subject="A recovery code was used",
            body="A recovery code was used for your account at {at}; {left} are left.\n\nIf it was not you, change your password and "
            "make new recovery codes.\n",
            sms="A recovery code was used for your account at {at}. If it was not you, change your password.",
        ),
        zh=Text(
            subject="恢复码已被使用",
            body="您的账号于 {at} 使用了一个恢复码,还剩 {left} 个。\n\n如非本人操作,请修改密码并重新生成恢复码。\n",
            sms="您的账号于{at}使用了恢复码,如非本人操作请修改密码。",
        ),
    ),
    "factor_added": Template(
        params=("device", "at"),
        en=Text(
            subject="A second factor was added",
            body="A second factor was added to your account.\n\nName: {device}\nTime: {at}\n\n"
            "If it was not you, change your password and end the other sessions at once.\n",
            sms="A second factor was added to your account at {at}. If it was not you, change your password.",
        ),
        zh=Text(
            subject="已添加二次验证方式",
            body="您的账号添加了二次验证方式。\n\n名称:{device}\n时间:{at}\n\n如非本人操作,请立即修改密码并退出其他登录会话。\n",
            sms="您的账号于{at}添加了二次验证方式,如非本人操作请修改密码。",
        ),
    ),
    "factor_removed": Template(
        params=("device", "at"),
        en=Text(
            subject="A second factor was removed",
            body="A second factor was removed from your account.\n\nName: {device}\nTime: {at}\n\n"
            "If it was not you, change your password and end the other sessions at once.\n",
            sms="A second factor was removed from your account at {at}. If it was not you, change your password.",
        ),
        zh=Text(
            subject="二次验证方式已移除",
            body="您的账号移除了二次验证方式。\n\n名称:{device}\n时间:{at}\n\n如非本人操作,请立即修改密码并退出其他登录会话。\n",
            sms="您的账号于{at}移除了二次验证方式,如非本人操作请修改密码。",
        ),
    ),
    "recovery_renewed": Template(
        params=("at",),
        en=Text(
            subject="New recovery codes",
            body="New recovery codes were made for your account at {at}; the old ones are of no use any more.\n\n"
            "If it was not you, change your password and end the other sessions at once.\n",
            sms="New recovery codes were made for your account at {at}. If it was not you, change your password.",
        ),
        zh=Text(
            subject="恢复码已重新生成",
            body="您的账号于 {at} 重新生成了恢复码,旧恢复码已作废。\n\n如非本人操作,请立即修改密码并退出其他登录会话。\n",
            sms="您的账号于{at}重新生成了恢复码,如非本人操作请修改密码。",
        ),
    ),
    "identity_added": Template(
        params=("identity", "at"),
        en=Text(
            subject="A new way to log in",
            body="Your account can be logged in to by this too from now on.\n\nBy: {identity}\nTime: {at}\n\n"
            "If it was not you, change your password and end the other sessions at once.\n",
            sms="A new way to log in was added to your account at {at}. If it was not you, change your password.",
        ),
        zh=Text(
            subject="已添加登录方式",
            body="您的账号添加了新的登录方式。\n\n登录方式:{identity}\n时间:{at}\n\n如非本人操作,请立即修改密码并退出其他登录会话。\n",
            sms="您的账号于{at}添加了登录方式,如非本人操作请修改密码。",
        ),
    ),
    "identity_removed": Template(
        params=("identity", "at"),
        en=Text(
            subject="A way to log in was removed",
            body="Your account is not logged in to by this any more.\n\nBy: {identity}\nTime: {at}\n\n"
            "If it was not you, change your password and end the other sessions at once.\n",
            sms="A way to log in was removed from your account at {at}. If it was not you, change your password.",
        ),
        zh=Text(
            subject="登录方式已移除",
            body="您的账号移除了一种登录方式。\n\n登录方式:{identity}\n时间:{at}\n\n如非本人操作,请立即修改密码并退出其他登录会话。\n",
            sms="您的账号于{at}移除了登录方式,如非本人操作请修改密码。",
        ),
    ),
    "accounts_merged": Template(
        params=("at",),
        en=Text(
            subject="Two accounts became one",
            body="Two accounts were made one at {at}, and this address was of one of them.\n\n"
            "If it was not you, change your password and end the other sessions at once.\n",
            sms="Your account was made one with another at {at}. If it was not you, change your password.",
        ),
        zh=Text(
            subject="账号已合并",
            body="两个账号已于 {at} 合并,此联系方式属于其中之一。\n\n如非本人操作,请立即修改密码并退出其他登录会话。\n",
            sms="您的账号已于{at}与另一账号合并,如非本人操作请修改密码。",
        ),
    ),
    "sessions_ended": Template(
        params=("at",),
        en=Text(
            subject="All sessions were ended",
            body="All sessions of your account were ended at {at}. Whoever was logged in has to log in again.\n\n"
            "If it was not you, change your password and end the other sessions at once.\n",
            sms="All sessions of your account were ended at {at}. If it was not you, change your password.",
        ),
        zh=Text(
            subject="已退出全部登录会话",
            body="您的账号于 {at} 退出了全部登录会话,各设备需重新登录。\n\n如非本人操作,请立即修改密码并退出其他登录会话。\n",
            sms="您的账号于{at}退出了全部会话,如非本人操作请修改密码。",
        ),
    ),
    "factor_reset_asked": Template(
        params=("due", "code"),
        en=Text(
            subject="Your second factors will be reset",
            body="Our support was asked to reset the second factors of your account. It is done at {due}.\n\nIf it was not you, cancel it "
            "by this code: {code}\nIf it was you, the same code confirms it, and you need not wait. Tell it to nobody.\n",
            sms="Your second factors will be reset at {due}. Code to cancel or confirm: {code}. Tell it to nobody.",
        ),
        zh=Text(
            subject="您的二次验证即将重置",
            body="客服收到重置您账号二次验证的请求,将于 {due} 生效。\n\n如非本人操作,请用重置码取消:{code}\n"
            "如为本人操作,可用同一重置码确认并立即生效。请勿告诉他人。\n",
            sms="二次验证将于{due}重置,可凭{code}取消或确认,勿告他人。",
        ),
    ),
    "factor_reset_cancelled": Template(
        params=("at",),
        en=Text(
            subject="The reset of your second factors was cancelled",
            body="The reset of the second factors of your account was cancelled at {at}. Nothing has changed.\n",
            sms="The reset of your second factors was cancelled at {at}. Nothing has changed.",
        ),
        zh=Text(
            subject="二次验证重置已取消",
            body="您账号的二次验证重置已于 {at} 取消,未作任何更改。\n",
            sms="您的二次验证重置已于{at}取消。",
        ),
    ),
    "factor_reset_done": Template(
        params=("at",),
        en=Text(
            subject="Your second factors were reset",
            body="The second factors and recovery codes of your account were removed at {at}, and all sessions were ended. Log in and "
            "add new ones.\n\nIf it was not you, change your password at once and call our support.\n",
            sms="Your second factors were reset at {at}. If it was not you, change your password.",
        ),
        zh=Text(
            subject="二次验证已重置",
            body="您账号的二次验证方式与恢复码已于 {at} 移除,全部会话已退出,请登录后重新添加。\n\n"
            "如非本人操作,请立即修改密码并联系客服。\n",
            sms="您的二次验证已于{at}重置,如非本人操作请修改密码。",
        ),
    ),
}
"""``no_account`` exists so that asking for a new password sends one message whether or not there is an account."""
