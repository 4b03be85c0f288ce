"""What people type to sign in, sign up and change their password."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, SetPasswordForm, UserCreationForm
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from notifications.mail import can_mail
from voicehelper.api.ratelimit import TooMany

from .backends import wait_s_of
from .emails import clean_address
from .models import User


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


class SignUpForm(UserCreationForm):  # type: ignore[type-arg]  # generic only in the stubs
    """A new user. Nothing but the name, the password and an address to confirm is taken from the request."""

    class Meta(UserCreationForm.Meta):
        model = User
        fields = ("username",)

    # The "no password" switch of Django's admin does not belong here.
    usable_password = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name: forms.Field = self.fields["username"]
        name.help_text = gettext_lazy("Letters, digits and @ . + - _")
        self.fields["password1"].help_text = gettext_lazy(
            "At least 8 characters, not only digits, and nothing that is easily guessed."
        )
        self.fields["password2"].help_text = ""
        if can_mail():
            self.fields["new_email"] = EmailAddressField(
                required=False,
                label=gettext_lazy("Email (optional)"),
                help_text=gettext_lazy("Only with it can you set a new password when you forget yours."),
            )


class NewPasswordForm(PasswordChangeForm):
    """The old password once, the new one twice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["new_password1"].help_text = gettext_lazy(
            "At least 8 characters, not only digits, and nothing that is easily guessed."
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
            "At least 8 characters, not only digits, and nothing that is easily guessed."
        )
        self.fields["new_password2"].help_text = ""


class SecondFactorForm(forms.Form):
    """The second factor's."""

    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=40,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "text", "autofocus": True}),
    )


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
