"""Routes of accounts: signing in, up and out, and the API's login."""

from django.urls import path

from . import pages
from .api import mini_program, sign_in
from .pages import devices, email, low_balance, recovery, second_factor

app_name = "accounts"

urlpatterns = [
    path("api/auth/login", sign_in.Login.as_view(), name="api_login"),
    path("api/auth/wx-login", mini_program.WeChatLogin.as_view(), name="api_wx_login"),
    path("api/auth/wx-bind", mini_program.WeChatBind.as_view(), name="api_wx_bind"),
    path("api/share", mini_program.Shares.as_view(), name="api_share"),
    path("api/share/visit", mini_program.Visit.as_view(), name="api_share_visit"),
    path("api/share/<str:share_id>", mini_program.OneShare.as_view(), name="api_one_share"),
    path("api/user/self", sign_in.Me.as_view(), name="api_self"),
    path("accounts/sign-in", pages.SignIn.as_view(), name="sign_in"),
    path("accounts/sign-up", pages.SignUp.as_view(), name="sign_up"),
    path("accounts/sign-out", pages.SignOut.as_view(), name="sign_out"),
    path("accounts/password", pages.ChangePassword.as_view(), name="password"),
    path("accounts/email", email.ChangeEmail.as_view(), name="email"),
    path("accounts/email/<str:token>", email.ConfirmEmail.as_view(), name="confirm_email"),
    path("accounts/low-balance", low_balance.LowBalance.as_view(), name="low_balance"),
    path("accounts/devices", devices.Devices.as_view(), name="devices"),
    path("accounts/devices/<int:pk>/end", devices.EndBrowser.as_view(), name="end_browser"),
    path("accounts/tokens/<int:pk>/end", devices.EndToken.as_view(), name="end_token"),
    path("accounts/code", second_factor.AskCode.as_view(), name="code"),
    path("accounts/two-steps", second_factor.TwoSteps.as_view(), name="two_steps"),
    path("accounts/forgot", recovery.Forgotten.as_view(), name="forgot"),
    path("accounts/reset/<uidb64>/<token>", recovery.Reset.as_view(), name="reset"),
]
