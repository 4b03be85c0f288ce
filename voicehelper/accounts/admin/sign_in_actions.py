"""The buttons of a user's page for somebody who cannot sign in any more, or must not that way."""

from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from voicehelper.admin.base import Action, RecordActions, Report
from voicehelper.admin.columns import column

from .. import passkeys, second_factor, website
from ..models import User, WeChatIdentity


class SignInActions(RecordActions):
    """What an operator takes away: the app, the passkeys, the WeChat accounts."""

    passkey_names = column(
        _("passkeys"), lambda user: ", ".join(passkeys.passkeys_of(user).values_list("name", flat=True)) or "—"
    )

    def sign_in_actions(self, user: User) -> list[Action]:
        return [self._factor_action(user), self._passkeys_action(user), self._wechat_action(user)]

    def _factor_action(self, user: User) -> Action:
        refusal = "" if second_factor.is_on(user) else gettext("It is not switched on.")
        hint = gettext("For somebody whose phone and paper are gone. Be sure that it is this person.")
        return Action(
            "remove_factor", gettext("Switch two-step sign-in off"), hint=hint, refusal=refusal, asks_reason=True
        )

    def do_remove_factor(self, request: HttpRequest, user: User, reason: str) -> Report:
        done = second_factor.remove(user)
        return Report(done, gettext("Two-step sign-in is off.") if done else gettext("It is not switched on."))

    def _passkeys_action(self, user: User) -> Action:
        refusal = "" if passkeys.passkeys_of(user).exists() else gettext("There is no passkey.")
        hint = gettext("For somebody whose device is gone. Be sure that it is this person.")
        return Action("remove_passkeys", gettext("Remove the passkeys"), hint=hint, refusal=refusal, asks_reason=True)

    def do_remove_passkeys(self, request: HttpRequest, user: User, reason: str) -> Report:
        count = passkeys.remove(user, passkeys.passkeys_of(user))
        text = ngettext("%(count)d passkey removed.", "%(count)d passkeys removed.", count) % {"count": count}
        return Report(count > 0, text)

    def _wechat_action(self, user: User) -> Action:
        refusal = "" if WeChatIdentity.objects.filter(user=user).exists() else gettext("No WeChat account is linked.")
        hint = gettext("Nobody signs in to this account by WeChat any more, neither here nor in the mini program.")
        return Action("unbind_wechat", gettext("Unlink WeChat"), hint=hint, refusal=refusal, asks_reason=True)

    def do_unbind_wechat(self, request: HttpRequest, user: User, reason: str) -> Report:
        count = website.unbind(user)
        return Report(count > 0, gettext("WeChat is unlinked.") if count else gettext("No WeChat account is linked."))
