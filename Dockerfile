# syntax=docker/dockerfile:1
# The product as one image; compose.yaml starts it as web, worker and beat.
FROM python:3.11-slim-bookworm AS build
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /app
COPY requirements.txt .
RUN uv venv /venv && VIRTUAL_ENV=/venv uv pip install --require-hashes --compile-bytecode -r requirements.txt

FROM python:3.11-slim-bookworm
RUN useradd --system --create-home --uid 10001 voicehelper
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 FILES_DIR=/files
WORKDIR /app
COPY . .
# Translations and static files are part of the image, and lie where no variable moves them. The values are placeholders:
# nothing is connected to or kept.
RUN python -c "from pathlib import Path; from voicehelper.embedded.translations import compile_translations as c; c(Path('locale'))" \
    && SECRET_KEY=build VOICEHELPER_SECRET_KEYS=build SERVER_ADDRESS=https://build.invalid \
       DATABASE_URL=postgres://build.invalid/build REDIS_URL=redis://build.invalid python manage.py collectstatic --noinput
RUN install -d -o voicehelper /files
USER voicehelper
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.parse as p, urllib.request as u; host = p.urlsplit(os.environ['SERVER_ADDRESS']).netloc; u.urlopen(u.Request('http://127.0.0.1:8000/readyz', headers={'Host': host}), timeout=4)"]
# One worker per core. The client's address comes from X-Forwarded-For as TRUSTED_PROXIES says, not from uvicorn.
CMD ["sh", "-c", "exec uvicorn voicehelper.asgi:application --http voicehelper.protocol:Bounded --host 0.0.0.0 --port 8000 --workers ${WEB_CONCURRENCY:-2} --no-proxy-headers --no-access-log --no-server-header --timeout-graceful-shutdown 30 --log-level warning"]
