# syntax=docker/dockerfile:1
# The product as one image; compose.yaml starts it as web, worker and beat.
# By digest, so that the same sources make the same image: --build-arg PYTHON_IMAGE=python@sha256:… (docs/operations.md).
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE} AS build
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /app
COPY requirements.txt deploy/image/slim.py ./
COPY topup/gateways/alipay alipay
# Without what nobody imports: most of it 17,000 models of Alipay's SDK. What is left is compiled once, here.
RUN uv venv /venv && VIRTUAL_ENV=/venv uv pip install --require-hashes -r requirements.txt \
    && python slim.py /venv/lib/python3.11/site-packages alipay && /venv/bin/python -m compileall -q -j 0 /venv/lib

FROM ${PYTHON_IMAGE}
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
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
# Told to stop, it says so, closes its port, and ends what is under way: voicehelper/serving.py.
CMD ["sh", "-c", "exec python -m voicehelper.serving --host 0.0.0.0 --port 8000 --workers ${WEB_CONCURRENCY:-1}"]
