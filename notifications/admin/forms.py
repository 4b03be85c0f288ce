"""The form of each kind of channel. What is no secret is kept in the channel's options, under the field's name."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator, RegexValidator
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from voicehelper.admin.forms import BoundSecret, CardForm

from ..models import Channel
from ..transports.base import SMS_WORDS
from ..transports.dingtalk import token_of
from ..transports.email import PLAIN, STARTTLS, TLS

_MOBILE = RegexValidator(r"^1[3-9][0-9]{9}$", _("Write mobile numbers with 11 digits, like 13800138000."))
_PHONE = RegexValidator(r"^(\+86)?1[3-9][0-9]{9}$", _("Write phone numbers like 13800138000 or +8613800138000."))


class TextBox(forms.CharField):
    """A line of text."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(widget=UnfoldAdminTextInputWidget, **{"max_length": 100, **kwargs})


class Several(forms.CharField):
    """One a line, or separated by commas; cleans to a list."""

    def __init__(self, *, each: Any = None, most: int = 50, **kwargs: Any) -> None:
        super().__init__(widget=UnfoldAdminTextareaWidget({"rows": 3}), **kwargs)
        self.each = each
        self.most = most

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list | tuple) else value

    def clean(self, value: Any) -> Any:
        found = [part.strip() for part in re.split(r"[\n,，;；]", super().clean(value)) if part.strip()]
        if len(found) > self.most:
            raise ValidationError(_("At most %(most)d.") % {"most": self.most})
        for part in found:
            if self.each is not None:
                self.each(part)
        return list(dict.fromkeys(found))


class Patterns(forms.CharField):
    """The variables of an SMS template, one a line: "name = text with {words}", or the text alone for a numbered one.
    Cleans to pairs."""

    def __init__(self, *, named: bool, **kwargs: Any) -> None:
        super().__init__(widget=UnfoldAdminTextareaWidget({"rows": 3}), **kwargs)
        self.named = named

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return "\n".join(f"{name} = {pattern}" if self.named else pattern for name, pattern in value)

    def clean(self, value: Any) -> Any:
        lines = [line.strip() for line in super().clean(value).splitlines() if line.strip()]
        return [self._pair(number, line) for number, line in enumerate(lines, 1)]

    def _pair(self, number: int, line: str) -> list[str]:
        name, equals, pattern = line.partition("=") if self.named else (str(number), "=", line)
        name, pattern = name.strip(), pattern.strip()
        if not equals or not pattern or not re.fullmatch(r"[A-Za-z0-9_]{1,30}", name):
            raise ValidationError(_("Write each line like: title = {title}"))
        unknown = set(re.findall(r"{([^{}]*)}", pattern)) - set(SMS_WORDS)
        if unknown:
            words = ", ".join(f"{{{word}}}" for word in SMS_WORDS)
            raise ValidationError(
                _("%(unknown)s is not a word that can be filled in; there are %(words)s.")
                % {"unknown": ", ".join(sorted(unknown)), "words": words}
            )
        return [name, pattern]


class ChannelForm(CardForm):
    """What all kinds have in common. `options` are the fields kept in the row's options."""

    instance: Any
    kind = ""
    icon = ""
    # Where to find what it asks for.
    steps: Sequence[Any] = ()
    options: Sequence[str] = ()
    cards: Sequence[tuple[Any, Sequence[str]]] = ()
    # What a kind calls the fields that others have too.
    labels: Mapping[str, Any] = {}

    class Meta:
        model = Channel
        fields: Sequence[str] = ("name", "enabled", "language", "secret")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.kind = self.kind
        # A page that was opened before there was such a field does not send it.
        if "language" in self.fields:
            self.fields["language"].required = False
        for name, label in self.labels.items():
            if name in self.fields:
                self.fields[name].label = label
        for name in self.options:
            if name in self.fields and name in self.instance.options:
                self.initial[name] = self.instance.options[name]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if not self.errors:
            # A switch that is off is not kept: channels are older than their newest switch.
            self.instance.options = {name: cleaned[name] for name in self.options if cleaned[name] is not False}
        return cleaned

    def clean_language(self) -> str:
        return str(self.cleaned_data["language"] or self.instance.language)

    def secret_of(self, cleaned: dict[str, Any], name: str = "secret") -> str:
        return cleaned[name].reveal() if cleaned.get(name) else ""


class DingTalkForm(ChannelForm):
    kind = "dingtalk"
    icon = "smart_toy"
    steps = (
        _("In the group: Settings → Robots → Add robot → Custom."),
        _("As security choose “Sign”, and copy the secret that begins with SEC."),
        _("Copy the webhook’s address as it is; it contains the robot’s token."),
        _("A robot stands 20 messages a minute: when there is more to say, it comes as one digest."),
    )
    options = ("mobiles",)
    labels = {"secret": _("Signing secret")}
    mobiles = Several(
        label=_("Mobiles to call"),
        required=False,
        each=_MOBILE,
        help_text=_("Who is called with @ for warnings and infos, one a line. Critical alerts call everybody."),
    )
    cards = (
        (None, ("name", "enabled", "language")),
        (_("Robot"), ("webhook", "secret")),
        (_("Recipients"), ("mobiles",)),
    )

    class Meta(ChannelForm.Meta):
        fields = ("name", "enabled", "language", "webhook", "secret")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        token = token_of(self.secret_of(cleaned, "webhook"))
        if not token:
            self.add_error("webhook", _("Paste the whole address, with access_token= in it."))
        others = Channel.objects.filter(kind=self.kind).exclude(pk=self.instance.pk)
        if any(token_of(other.webhook.reveal()) == token for other in others if token):
            text = _("Another channel uses this robot. One robot is one channel, or both together would silence it.")
            self.add_error("webhook", text)
        return cleaned


class EmailForm(ChannelForm):
    kind = "email"
    icon = "mail"
    steps = (
        _("Host, port and encryption are in your mail provider’s help under SMTP."),
        _("Many providers want a password made for programs (授权码) instead of your own."),
        _("The sender’s address must belong to the account."),
        _("Switch on “Mail to users too”, or nobody can set a new password for one that is forgotten."),
        _("A server in your own network must be allowed at deployment: SMTP_PRIVATE_HOSTS."),
    )
    options = ("host", "port", "security", "username", "sender", "sender_name", "recipients", "users")
    bound_secrets = (
        BoundSecret(
            "secret",
            ("host", "port", "security"),
            dict,
            _("Enter it again: what you changed says where it is sent."),
        ),
    )
    labels = {"secret": _("Password")}
    host = TextBox(label=_("SMTP host"))
    port = forms.IntegerField(
        label=_("Port"), min_value=1, max_value=65535, initial=587, widget=UnfoldAdminIntegerFieldWidget
    )
    security = forms.ChoiceField(
        label=_("Encryption"),
        choices=[(STARTTLS, _("STARTTLS (port 587)")), (TLS, _("TLS (port 465)")), (PLAIN, _("None"))],
        widget=UnfoldAdminSelectWidget,
    )
    username = TextBox(label=_("User"), required=False)
    sender = TextBox(label=_("Sender’s address"), validators=[EmailValidator()])
    sender_name = TextBox(label=_("Sender’s name"), required=False, initial="VoiceHelper")
    recipients = Several(label=_("Recipients"), each=EmailValidator(), help_text=_("One address a line."))
    users = forms.BooleanField(
        label=_("Mail to users too"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text=_("Forgotten passwords and confirmations of addresses. Alerts go to the recipients only."),
    )
    cards = (
        (None, ("name", "enabled", "language")),
        (_("Mail server"), ("host", "port", "security", "username", "secret")),
        (_("Sender"), ("sender", "sender_name")),
        (_("Recipients"), ("recipients", "users")),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if cleaned.get("username") and not self.secret_of(cleaned):
            self.add_error("secret", _("A user needs a password."))
        return cleaned


class SMSForm(ChannelForm):
    """What both SMS vendors ask for. `characters` is what every account may put into a variable."""

    icon = "sms"
    characters = 0
    key_id = TextBox()
    sign_name = TextBox(label=_("Sign name"), help_text=_("As approved, without the brackets 【】."))
    template = TextBox(label=_("Template"))
    phones = Several(label=_("Phones"), each=_PHONE, most=20, help_text=_("One number a line; each text costs."))
    most = forms.IntegerField(
        label=_("Characters in a variable"), min_value=4, max_value=200, widget=UnfoldAdminIntegerFieldWidget
    )
    cards: Sequence[tuple[Any, Sequence[str]]] = (
        (None, ("name", "enabled", "language")),
        (_("Account"), ("key_id", "secret")),
        (_("Text"), ("sign_name", "template", "patterns", "most")),
        (_("Recipients"), ("phones",)),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("most", self.characters)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if not self.secret_of(cleaned):
            self.add_error("secret", _("Without the secret nothing can be signed."))
        return cleaned


class AliyunForm(SMSForm):
    kind = "sms_aliyun"
    steps = (
        _("AccessKey: RAM console → Users → create one with the right AliyunDysmsFullAccess."),
        _("Sign name and template: SMS console → Domestic messages; both must be approved."),
        _("Apply for a notification template like: VoiceHelper 告警：${title}，${time}。"),
    )
    labels = {"key_id": "AccessKey ID", "secret": "AccessKey Secret"}
    characters = 35
    options = ("key_id", "sign_name", "template", "patterns", "most", "phones")
    patterns = Patterns(
        named=True,
        label=_("Template variables"),
        initial="title = {title}\ntime = {time}",
        help_text=_("One a line. Words: {level} {title} {content} {event} {time} {count} {platform} {record} {link}."),
    )


class TencentForm(SMSForm):
    kind = "sms_tencent"
    steps = (
        _("SecretId and SecretKey: console → Access management → API keys, with QcloudSMSFullAccess."),
        _("SDK AppID, sign name and template: SMS console; both must be approved."),
        _("Apply for a template like: VoiceHelper 告警：{1}，{2}。"),
        _("Personal accounts may fill a variable with 6 to 12 characters, companies with more."),
    )
    labels = {"key_id": "SecretId", "secret": "SecretKey"}
    characters = 12
    options = ("key_id", "sdk_app_id", "region", "sign_name", "template", "patterns", "most", "phones")
    sdk_app_id = TextBox(label="SDK AppID")
    region = TextBox(label=_("Region"), initial="ap-guangzhou")
    patterns = Patterns(
        named=False,
        label=_("Template variables"),
        initial="{title}\n{time}",
        help_text=_(
            "In the template’s order, one a line. Words: {level} {title} {content} {event} {time} {count} "
            "{platform} {record} {link}."
        ),
    )
    cards = (
        SMSForm.cards[0],
        (_("Account"), ("key_id", "secret", "sdk_app_id", "region")),
        *SMSForm.cards[2:],
    )


FORMS: dict[str, type[ChannelForm]] = {form.kind: form for form in (DingTalkForm, EmailForm, AliyunForm, TencentForm)}
