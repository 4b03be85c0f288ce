"""The pages of API keys: make one, see it once, change what it is good for, revoke it."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from voicehelper import clock
from voicehelper.accounts import services
from voicehelper.accounts.models import ApiKey
from voicehelper.numbers import grouped
from voicehelper.secrets import Secret, encrypt
from voicehelper.wallet.worth import in_yuan, list_price

from . import display
from .key_form import KeyForm, as_typed, in_words

# Where a session keeps the text of a new key, encrypted, from the redirect after its making to the page that shows it.
JUST_MADE = "new-api-key"


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("text")
def keys(request: HttpRequest) -> HttpResponse:
    """The user's keys; posting makes one, whose text is shown by the page that this leads to, and by no other."""
    if request.method != "POST":
        made, text = _just_made(request) if request.method == "GET" else (None, "")
        return _page(request, KeyForm(), made=made, text=text)
    form = KeyForm(request.POST)
    if not form.is_valid():
        return _page(request, form, problem=_misnamed() if "name" in form.errors else "", status=400)
    try:
        name, limits = form.cleaned_data["name"], form.key_limits()
        key, text = services.create_api_key(services.user_of(request), name, limits)
    except services.TooManyKeys:
        text = _("You have %(most)s keys. Revoke one that you no longer use.") % {"most": services.KEYS_PER_USER}
        return _page(request, form, problem=text, status=409)
    except ValueError:
        return _page(request, form, problem=_misnamed(), status=400)
    request.session[JUST_MADE] = key.pk, encrypt(text)
    return redirect("chat:keys")


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def key(request: HttpRequest, key_id: int) -> HttpResponse:
    """One key: what it is called and may be used for, and what is used of it."""
    user = services.user_of(request)
    found = services.api_keys_of(user).filter(pk=key_id).first()
    if found is None:
        raise Http404
    form, problem = KeyForm(request.POST or None, initial=as_typed(found)), ""
    if request.method == "POST":
        try:
            if form.is_valid():
                limits = vars(form.key_limits(found.expires_at))
                services.change_api_key(user, key_id, {**limits, "name": form.cleaned_data["name"]})
                messages.success(request, _("Saved. It counts from the next call on."))
                return redirect("chat:keys")
            problem = _misnamed() if "name" in form.errors else ""
        except ValueError:
            problem = _misnamed()
    facts = {"key": found, "form": form, "problem": problem, "words": in_words(found, clock.now()), **_worth()}
    return render(request, "llm/key.html", facts, status=400 if request.method == "POST" else 200)


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


def _misnamed() -> str:
    return _("Give the key a name of at most 64 characters.")


def _worth() -> dict[str, str]:
    """What a unit of quota is, for those who type some."""
    price = list_price()
    unit = price.quota_per_unit
    return {"unit": grouped(unit), "unit_yuan": in_yuan(unit, price.yuan_per_quota)}


def _page(
    request: HttpRequest,
    form: KeyForm,
    *,
    made: ApiKey | None = None,
    text: str = "",
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    user = services.user_of(request)
    offers = display.offers(user, list_price().yuan_per_quota)
    names = [offer.value for offer in offers[1:]]
    now, keys = clock.now(), services.api_keys_of(user)
    facts = {
        "keys": [(each, in_words(each, now)) for each in keys],
        "form": form,
        **_worth(),
        "made": made,
        "text": text,
        "problem": problem,
        "typed": request.POST.get("name", "")[:64] if form.is_bound else "",
        "base_url": f"{settings.SERVER_ADDRESS}/v1",
        "model": display.example_model(names),
    }
    return render(request, "llm/keys.html", facts, status=status)
