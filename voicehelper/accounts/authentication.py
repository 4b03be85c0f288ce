"""How API requests say who they are: `Authorization: Bearer …`, or a browser's session (with CSRF protection)."""

from drf_spectacular.authentication import SessionScheme
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from . import second_factor, services
from .models import User


class BearerToken(BaseAuthentication):
    """A token from POST /api/auth/login. Answering 401 tells a client to sign in again."""

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        scheme, _, token = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        user = services.user_of_token(token.strip().decode("ascii", "replace"))
        if user is None or (second_factor.is_required(user) and not second_factor.suffices(user)):
            raise AuthenticationFailed("The token is not valid or has expired: sign in again.", code="token")
        return user, None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class SessionCookie(SessionAuthentication):
    """Django's session, answering 401 (not 403) to nobody, because BearerToken names the scheme first."""


class BearerTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = BearerToken
    name = "bearer"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class SessionCookieScheme(SessionScheme):  # type: ignore[no-untyped-call]
    target_class = SessionCookie  # type: ignore[assignment]  # a class or its dotted path
