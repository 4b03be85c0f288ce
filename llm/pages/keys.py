"""The page of API keys: make one, see it once, revoke it."""

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from voicehelper.accounts import services
from voicehelper.accounts.models import ApiKey
from voicehelper.secrets import Secret, encrypt
from voicehelper.wallet.worth import list_price

from . import display

# In examples, where the caller's own choice belongs.
EXAMPLE_MODEL = "doubao-pro"
# Where a session keeps the text of a new key, encrypted, from the redirect after its making to the page that shows it.
JUST_MADE = "new-api-key"


class KeyForm(forms.Form):
    """What a new key is called."""

    name = forms.CharField(max_length=64)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("text")
def keys(request: HttpRequest) -> HttpResponse:
    """The user's keys; posting makes one, whose text is shown by the page that this leads to, and by no other."""
    if request.method != "POST":
        made, text = _just_made(request) if request.method == "GET" else (None, "")
        return _page(request, made=made, text=text)
    form = KeyForm(request.POST)
    if not form.is_valid():
        return _page(request, problem=_("Give the key a name of at most 64 characters."), status=400)
    try:
        key, text = services.create_api_key(services.user_of(request), form.cleaned_data["name"])
    except services.TooManyKeys:
        text = _("You have %(most)s keys. Revoke one that you no longer use.") % {"most": services.KEYS_PER_USER}
        return _page(request, problem=text, status=409)
    except ValueError:
        return _page(request, problem=_("Give the key a name of at most 64 characters."), status=400)
    request.session[JUST_MADE] = key.pk, encrypt(text)
    return redirect("chat:keys")


@login_required
@require_POST
def revoke(request: HttpRequest, key_id: int) -> HttpResponse:
    """End a key at once; the page has asked before."""
    if not services.revoke_api_key(services.user_of(request), key_id):
        raise Http404
    messages.success(request, _("The key is revoked. Programs that use it are refused from now on."))
    return redirect("chat:keys")


def _just_made(request: HttpRequest) -> tuple[ApiKey | None, str]:
    """The key whose making led here, and its text, which leaves the session with that."""
    key_id, sealed = request.session.pop(JUST_MADE, (None, ""))
    key = services.api_keys_of(services.user_of(request)).filter(pk=key_id).first()
    text = Secret.stored(sealed)
    return (key, text.reveal()) if key and text.readable else (None, "")


def _page(
    request: HttpRequest, *, made: ApiKey | None = None, text: str = "", problem: str = "", status: int = 200
) -> HttpResponse:
    user = services.user_of(request)
    offers = display.offers(user, list_price().yuan_per_quota)
    names = [offer.value for offer in offers[1:]]
    facts = {
        "keys": services.api_keys_of(user),
        "made": made,
        "text": text,
        "problem": problem,
        "typed": request.POST.get("name", "")[:64] if problem else "",
        "base_url": f"{settings.SERVER_ADDRESS}/v1",
        "model": EXAMPLE_MODEL if EXAMPLE_MODEL in names or not names else names[0],
    }
    return render(request, "llm/keys.html", facts, status=status)
