"""E-mail, Telegram, Matrix, ntfy and a hundred others, through the apprise library (an optional extra).

Source: apprise's own interface. It says of each receiver only whether it was told, so a repetition cannot be ruled out
where it says no, and none is sent.
"""

from __future__ import annotations

import logging
from types import ModuleType

from chaosrunner.errors import OutcomeUnknown, UsageError
from chaosrunner.model.marks import Field
from chaosrunner.model.news import Notice, Telling
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Messenger

_LEVELS = {
    "verified": "success",
    "closed": "success",
    "game-day-over": "success",
    "run-ended": "info",
    "seen-again": "info",
    "game-day": "info",
    "found": "warning",
}


class Params(Telling):
    """Who is told."""

    urls: tuple[SecretRef, ...] = Field(min_length=1)
    """Where apprise's URLs are (`mailto://…`, `matrix://…`), each a secret. caFile and clientCert do not hold here."""


class Apprise(Messenger[Params]):
    """Tells whoever apprise can tell: mail, Telegram, Matrix, ntfy and a hundred others. Needs `chaosrunner[apprise]`.
    What may have arrived, although apprise says that something went wrong, is not sent again: at most once."""

    example = "notify: [{apprise: {urls: [{env: MAIL_URL}]}}]"
    per_minute = 20

    async def tell(self, notice: Notice) -> None:
        apprise = _library()
        asset = apprise.AppriseAsset(app_id="chaosrunner", app_desc="chaosrunner", plugin_paths=[])
        told = apprise.Apprise(asset=asset)
        for ref in self.params.urls:
            if not told.add(self.context.http.secret(ref).reveal().strip()):
                raise UsageError(
                    f"the {ref} holds no URL that apprise knows, such as mailto://USER:PASSWORD@example.com"
                )
        text = "\n\n".join(part for part in (notice.text, self._again(notice), notice.url) if part)
        level = _LEVELS.get(notice.news.value, "failure")
        if not await told.async_notify(title=notice.headline, body=text, notify_type=level):
            raise OutcomeUnknown("apprise says that not everybody was told; try `apprise` itself to see why")

    def _again(self, notice: Notice) -> str:
        return f"See it again: {notice.command}" if notice.command and not notice.over else ""


def _library() -> ModuleType:
    try:
        import apprise
    except ImportError:
        raise UsageError("apprise is not installed: pip install 'chaosrunner[apprise]'") from None
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its lines hold URLs
    module: ModuleType = apprise
    return module
