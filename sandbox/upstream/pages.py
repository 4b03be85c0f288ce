"""/sandbox/models: where the stand-ins for model providers are, who their customers are, and what shall go wrong."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from ..faults import MOST_TIMES, BadScript
from ..models import UpstreamScript
from ..views import SHOWN, posted, same_site, wants_json
from .catalogue import BASE_PATHS, CUSTOMERS, MODELS
from .faults import FAULTS, BadFault, number_of

_BRANDS = {"ark": "Ark", "openai": "OpenAI", "anthropic": "Anthropic"}


@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    """Addresses, keys, models, and what is scripted."""
    return render(request, "sandbox/models.html", _facts(request))


@same_site
@require_http_methods(["POST", "DELETE"])
def script(request: HttpRequest) -> HttpResponse:
    """POST writes a script (JSON: 201 or 400); DELETE removes all of them (204)."""
    if request.method == "DELETE":
        UpstreamScript.objects.all().delete()
        return HttpResponse(status=204)
    try:
        written = write_script(posted(request))
    except (BadScript, BadFault) as error:
        if wants_json(request):
            return JsonResponse({"error": str(error)}, status=400, json_dumps_params={"ensure_ascii": False})
        return render(request, "sandbox/models.html", _facts(request) | {"error": error}, status=400)
    if not wants_json(request):
        return HttpResponseRedirect(reverse("sandbox:models") + "#scripts")
    names = ("id", "provider", "model", "fault", "number", "times")
    return JsonResponse({name: getattr(written, name) for name in names}, status=201)


@same_site
@require_POST
def remove_script(request: HttpRequest, pk: int) -> HttpResponse:
    """The button beside a script."""
    UpstreamScript.objects.filter(pk=pk).delete()
    return HttpResponseRedirect(reverse("sandbox:models") + "#scripts")


def write_script(data: dict[str, Any]) -> UpstreamScript:
    """Check and save a script. Raises BadScript, BadFault."""
    unknown = set(data) - {"provider", "model", "fault", "number", "times"}
    if unknown:
        raise BadScript(f"A script has provider, model, fault, number and times, but no {', '.join(sorted(unknown))}.")
    provider, model = data.get("provider") or "", data.get("model") or ""
    if provider not in ("", *_BRANDS):
        raise BadScript(f"provider must be one of: {', '.join(_BRANDS)}.")
    if model and model not in {name for sold in MODELS.values() for name in sold}:
        raise BadScript("model must be the provider's own id of a model, as listed on /sandbox/models.")
    fault, times = str(data.get("fault")), str(data.get("times", 1))
    number = number_of(fault, data.get("number"))
    if not (times.isascii() and times.isdecimal() and len(times) < 9 and 1 <= int(times) <= MOST_TIMES):
        raise BadScript(f"times must be a whole number from 1 to {MOST_TIMES}.")
    return UpstreamScript.objects.create(provider=provider, model=model, fault=fault, number=number, times=int(times))


def _facts(request: HttpRequest) -> dict[str, object]:
    origin = f"{request.scheme}://{request.get_host()}"
    providers = [
        {
            "name": name,
            "brand": brand,
            "base_url": f"{origin}{BASE_PATHS[name]}",
            "customers": CUSTOMERS[name],
            "models": list(MODELS[name]),
        }
        for name, brand in _BRANDS.items()
    ]
    return {"providers": providers, "faults": FAULTS, "scripts": UpstreamScript.objects.order_by("-pk")[:SHOWN]}
