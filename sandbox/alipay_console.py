"""What a merchant does in Alipay's console: choose the application's mode and download its certificates. And what only
Alipay does: change the certificate it signs with."""

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from . import alipay_certificates as certificates
from .models import GatewayName, Merchant
from .views import same_site


@require_GET
def download(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """One of the three files, under the name it has at Alipay's."""
    merchant = certificates.open_papers(_merchant(pk))
    contents = merchant.app_certificate, certificates.current(merchant).pem, certificates.ROOTS
    files = dict(zip(merchant.certificate_files, contents, strict=True))
    if name not in files:
        raise Http404
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(files[name], content_type="application/x-x509-ca-cert", headers=headers)


@same_site
@require_POST
def change_mode(request: HttpRequest, pk: int) -> HttpResponse:
    """From public keys to certificates, or back."""
    merchant = certificates.open_papers(_merchant(pk))
    Merchant.objects.filter(pk=pk).update(by_certificate=not merchant.by_certificate)
    return _back()


@same_site
@require_POST
def rotate(request: HttpRequest, pk: int) -> HttpResponse:
    certificates.rotate(_merchant(pk))
    return _back()


def _merchant(pk: int) -> Merchant:
    return get_object_or_404(Merchant, pk=pk, gateway=GatewayName.ALIPAY)


def _back() -> HttpResponse:
    return HttpResponseRedirect(reverse("sandbox:overview"))
