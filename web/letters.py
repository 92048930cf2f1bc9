"""Mails about signing in, in both languages."""

from dataclasses import replace

from hub.access.rows import Invitation
from hub.notify.rows import Letter

_INVITATION = Letter(
    subject_zh="您的 Plantroom 账号",
    subject_en="Your account at Plantroom",
    body_zh=(
        "您的用户名是 {login}。请在 72 小时内打开下面的链接设置密码；链接只能用一次。"
        "若您不知道这封邮件的来由，请不要打开链接。"
    ),
    body_en=(
        "Your user name is {login}. Open the link below within 72 hours and choose a password; it works once. "
        "If you do not know why you get this mail, leave the link alone."
    ),
)
_RESET = Letter(
    subject_zh="重设 Plantroom 密码",
    subject_en="A new password for Plantroom",
    body_zh=(
        "有人为用户 {login} 申请重设密码。请在 10 分钟内打开下面的链接设置新密码；链接只能用一次。"
        "若不是您本人申请，请不要打开链接，密码不会改变。"
    ),
    body_en=(
        "Somebody asked for a new password for {login}. Open the link below within 10 minutes and choose one; it works "
        "once. If it was not you, leave the link alone: nothing changes."
    ),
)


def of(made: Invitation) -> Letter:
    """Give the mail that carries a link; the link itself stands behind the text."""
    said = _RESET if made.purpose == "reset" else _INVITATION
    bodies = {name: getattr(said, name).format(login=made.login) for name in ("body_zh", "body_en")}
    return replace(said, path=made.path, **bodies)
