"""Pwned Passwords' range search over a few passwords, as https://haveibeenpwned.com/API/v3#PwnedPasswords has it."""

import hashlib
import re

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

# What it knows, and how often each was seen.
STOLEN = {"P@ssw0rd": 37_615_252, "correct horse battery staple": 384, "sunshine-and-rain-1987": 2}
# Lines of other people's passwords, and of padding.
_OTHERS, _PADDED = 40, 800


def _digest(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest().upper()


@require_GET
def search(request: HttpRequest, prefix: str) -> HttpResponse:
    """The last 35 digits of all hashes that begin with these five, each with its count."""
    if not request.headers.get("User-Agent"):
        return HttpResponse("Missing user agent", content_type="text/plain", status=403)
    if not re.fullmatch(r"[0-9A-Fa-f]{5}", prefix):
        return HttpResponse("The hash prefix was not in a valid format", content_type="text/plain", status=400)
    wanted = prefix.upper()
    found = {_digest(f"{wanted} {number}")[5:]: number % 9 + 1 for number in range(_OTHERS)}
    found |= {_digest(text)[5:]: count for text, count in STOLEN.items() if _digest(text).startswith(wanted)}
    if request.headers.get("Add-Padding") == "true":
        found |= {_digest(f"{wanted} padding {number}")[5:]: 0 for number in range(_PADDED - len(found))}
    lines = [f"{suffix}:{count}" for suffix, count in sorted(found.items())]
    return HttpResponse("\r\n".join(lines), content_type="text/plain")
