"""What people type to sign in, sign up and change their password."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, UserCreationForm
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from voicehelper.api.ratelimit import TooMany

from .backends import wait_s_of
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


class SignUpForm(UserCreationForm):  # type: ignore[type-arg]  # generic only in the stubs
    """A new user. Nothing but the name and the password is taken from the request."""

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


class NewPasswordForm(PasswordChangeForm):
    """The old password once, the new one twice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["new_password1"].help_text = gettext_lazy(
            "At least 8 characters, not only digits, and nothing that is easily guessed."
        )
        self.fields["new_password2"].help_text = ""
