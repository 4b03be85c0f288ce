"""Routes of accounts: signing in, up and out, and the API's login."""

from django.urls import path

from . import pages
from .api import consent, mini_program, sign_in
from .api import own_data as own_data_api
from .pages import devices, email, legal, low_balance, minors, own_data, passkeys, recovery, second_factor, wechat

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
    path("accounts/passkeys/begin", passkeys.BeginPasskey.as_view(), name="begin_passkey"),
    path("accounts/passkeys/add", passkeys.AddPasskey.as_view(), name="add_passkey"),
    path("accounts/passkeys/ask", passkeys.AskPasskey.as_view(), name="ask_passkey"),
    path("accounts/passkeys/sign-in", passkeys.PasskeySignIn.as_view(), name="passkey_sign_in"),
    path("accounts/passkeys/<int:pk>", passkeys.OnePasskey.as_view(), name="passkey"),
    path("accounts/wechat", wechat.WeChatLink.as_view(), name="wechat"),
    path("accounts/wechat/start", wechat.WeChatStart.as_view(), name="wechat_start"),
    path("accounts/wechat/back", wechat.WeChatBack.as_view(), name="wechat_back"),
    path("accounts/data", own_data.OwnData.as_view(), name="data"),
    path("accounts/data/export", own_data.AskExport.as_view(), name="export"),
    path("accounts/data/export/fetch", own_data.FetchExport.as_view(), name="export_fetch"),
    path("accounts/data/export/drop", own_data.DropExport.as_view(), name="export_drop"),
    path("accounts/minors", minors.Minors.as_view(), name="minors"),
    path("accounts/consent", legal.AskConsent.as_view(), name="consent"),
    path("legal/<slug:kind>", legal.Legal.as_view(), name="legal"),
    path("api/user/consent", consent.ConsentOfUser.as_view(), name="api_consent"),
    path("api/user/export", own_data_api.OwnCopy.as_view(), name="api_export"),
    path("api/user/export/link", own_data_api.OwnCopyLink.as_view(), name="api_export_link"),
    path("api/user/deletion", own_data_api.OwnDeletion.as_view(), name="api_deletion"),
    path("accounts/delete", own_data.DeleteAccount.as_view(), name="delete"),
    path("accounts/forgot", recovery.Forgotten.as_view(), name="forgot"),
    path("accounts/reset/<uidb64>/<token>", recovery.Reset.as_view(), name="reset"),
]
