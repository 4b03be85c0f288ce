"""What people type to sign in, sign up and change their password."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, SetPasswordForm, UserCreationForm
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from notifications.mail import can_mail
from voicehelper.api.ratelimit import TooMany

from . import consents, names, second_factor
from .backends import wait_s_of
from .emails import clean_address
from .models import LegalText, User


def clean_name(form: Any, found: str, user: User | None = None) -> str:
    """The field `username` of a form, unless names.py refuses it as it was typed. Raises ValidationError."""
    names.check(str(form.data.get(form.add_prefix("username"), found)).strip(), user)
    return found


class SignInForm(AuthenticationForm):
    """Name and password; says it in words when the brake of backends.py holds."""

    @property
    def wait_s(self) -> int:
        """Seconds until another try is looked at; 0: the password was looked at."""
        return wait_s_of(self.request) if self.request else 0

    def get_invalid_login_error(self) -> ValidationError:
        if self.wait_s:
            return ValidationError(TooMany(self.wait_s).words, code="throttled")
        text = _("The user name or the password is wrong. Both distinguish capitals.")
        return ValidationError(text, code="invalid_login")


class EmailAddressField(forms.EmailField):
    """A mail address as emails.py keeps it; empty stays empty."""

    widget = forms.EmailInput(attrs={"autocomplete": "email"})

    def clean(self, value: Any) -> str:
        text = super().clean(value)
        return clean_address(text) if text else ""


def _names_of_texts(versions: Mapping[str, int]) -> SafeString:
    """Links to the texts, which open beside the form."""
    links = format_html_join(
        _(" and "),
        '<a href="{}" target="_blank">{}</a>',
        ((reverse("accounts:legal", args=[kind]), LegalText.Kind(kind).label) for kind in versions),
    )
    return format_html(_("I have read and agree to {}"), links)


class AgreesForm(forms.Form):
    """A tick for the texts in force, if there are any; `versions` are those that were shown."""

    versions: Mapping[str, int] = {}

    def ask_for_consent(self, versions: Mapping[str, int]) -> None:
        """Add the tick. The texts that were shown come back with it: others are not agreed to unseen."""
        self.versions = versions
        if versions:
            text = _("Please read and agree first.")
            self.fields["agrees"] = forms.BooleanField(
                label=_names_of_texts(versions), error_messages={"required": text}
            )
            shown = forms.HiddenInput()
            self.fields["texts"] = forms.CharField(widget=shown, initial=consents.mark_of(versions), required=False)

    def clean(self) -> Any:
        cleaned = super().clean()
        if self.versions and self.cleaned_data.get("texts") != consents.mark_of(self.versions):
            # From now on it is these that are shown.
            self.data = {
                **{name: self.data[name] for name in self.data},
                "texts": consents.mark_of(self.versions),
                "agrees": "",
            }
            self.add_error(None, _("The texts have changed just now: read them again."))
        return cleaned


class ConsentForm(AgreesForm):
    """For those who are signed in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ask_for_consent(consents.in_force())


class SignUpForm(AgreesForm, UserCreationForm):  # type: ignore[type-arg]  # generic only in the stubs
    """A new user. Nothing but the name, the password and an address to confirm is taken from the request."""

    class Meta(UserCreationForm.Meta):
        model = User
        fields = ("username",)

    # The "no password" switch of Django's admin does not belong here.
    usable_password = None

    def clean_username(self) -> str:
        """As it was typed, for Django makes full-width letters ordinary ones."""
        return clean_name(self, super().clean_username())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name: forms.Field = self.fields["username"]
        name.help_text = gettext_lazy("Letters, digits and @ . + - _")
        self.fields["password1"].help_text = gettext_lazy("At least 8 characters, and nothing that is easily guessed.")
        self.fields["password2"].help_text = ""
        if can_mail():
            self.fields["new_email"] = EmailAddressField(
                required=False,
                label=gettext_lazy("Email (optional)"),
                help_text=gettext_lazy("Only with it can you set a new password when you forget yours."),
            )
        self.ask_for_consent(consents.in_force())


class NewPasswordForm(PasswordChangeForm):
    """The old password once, the new one twice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["new_password1"].help_text = gettext_lazy(
            "At least 8 characters, and nothing that is easily guessed."
        )
        self.fields["new_password2"].help_text = ""


class OwnPassword(forms.Form):
    """The user's own password, before something grave; whoever shows it checks it."""

    password = forms.CharField(
        label=gettext_lazy("Your password"),
        strip=False,
        max_length=1024,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class AddressForm(OwnPassword):
    """Another address, or none."""

    email = EmailAddressField(required=False, label=gettext_lazy("New address"))
    field_order = ("email", "password")


class ForgottenForm(forms.Form):
    """Who forgot the password, by name or address."""

    who = forms.CharField(
        label=gettext_lazy("User name or email address"),
        max_length=254,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True}),
    )


class FirstPasswordForm(SetPasswordForm):  # type: ignore[type-arg]  # generic only in the stubs
    """A new password, twice, instead of a forgotten one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["new_password1"].help_text = gettext_lazy(
            "At least 8 characters, and nothing that is easily guessed."
        )
        self.fields["new_password2"].help_text = ""


class SecondFactorForm(forms.Form):
    """The second factor's."""

    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=40,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "text", "autofocus": True}),
    )


class PasskeyName(forms.Form):
    """What its owner calls a passkey."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=64,
        help_text=gettext_lazy("So that you know it again, such as “work laptop”."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean_name(self) -> str:
        """On one line: it stands in tables and mails."""
        name = " ".join(str(self.cleaned_data["name"]).split())
        if not name.isprintable():
            raise ValidationError(_("Use letters, digits and signs that can be seen."))
        return name


class LowBalanceForm(forms.Form):
    """An amount to be told of, in yuan or in quota; none: of no amount."""

    amount = forms.DecimalField(
        required=False, min_value=0, max_digits=20, decimal_places=2, label=gettext_lazy("Tell me at or below")
    )
    unit = forms.ChoiceField(
        choices=[("yuan", gettext_lazy("yuan (¥), at today’s list price")), ("quota", gettext_lazy("quota"))],
        label=gettext_lazy("In"),
    )

    def clean(self) -> dict[str, Any]:
        facts = super().clean() or {}
        amount = facts.get("amount")
        if amount is not None and facts.get("unit") == "quota" and amount != int(amount):
            self.add_error("amount", _("Write how much quota as a whole number."))
        return facts


class ProofForm(forms.Form):
    """Asks for what this user can give to show that it is really they; proof.check looks at it."""

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if user.has_usable_password():
            self.fields["password"] = OwnPassword().fields["password"]
        elif second_factor.is_on(user):
            self.fields["code"] = SecondFactorForm().fields["code"]


class DeleteForm(ProofForm):
    """The last word on an account."""

    gives_up = forms.BooleanField(required=False, label=gettext_lazy("I give up the balance"))
    field_order = ("gives_up", "password", "code")


class NewPasskeyForm(ProofForm, PasskeyName):
    """A name, and the proof."""
