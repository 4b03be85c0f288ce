"""Routes of accounts: signing in, up and out, and the API's login."""

from django.urls import path

from . import api, pages

app_name = "accounts"

urlpatterns = [
    path("api/auth/login", api.Login.as_view(), name="api_login"),
    path("api/user/self", api.Me.as_view(), name="api_self"),
    path("accounts/sign-in", pages.SignIn.as_view(), name="sign_in"),
    path("accounts/sign-up", pages.SignUp.as_view(), name="sign_up"),
    path("accounts/sign-out", pages.SignOut.as_view(), name="sign_out"),
    path("accounts/password", pages.ChangePassword.as_view(), name="password"),
]
