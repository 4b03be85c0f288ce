"""WSGI entry point, for servers that know nothing else; the product runs under ASGI."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voicehelper.settings")
application = get_wsgi_application()
