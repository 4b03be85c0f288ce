# `make` alone lists what there is. Nothing but Python (3.11, 3.12 or 3.13) and make has to be installed first.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
UV_VERSION := 0.13.9
# The first of these that runs and is one of the versions above; PYTHON=… chooses another.
PYTHONS := $(or $(PYTHON),python3.11 python3.12 python3.13 python3)
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# A proxy's authority is often known to the system's store alone, which neither uv nor an older pip looks into unasked.
# Where there is no such store they use the one they bring.
SYSTEM_CERTS := $(firstword $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt \
	/etc/ssl/ca-bundle.pem /etc/ssl/cert.pem))
TRUST := $(if $(SYSTEM_CERTS),UV_SYSTEM_CERTS=true PIP_CERT="$${PIP_CERT:-$(SYSTEM_CERTS)}")
EMBEDDED := $(BIN)/python -m voicehelper.embedded --with-parent
WORKERS := 3
UV_COMPILE := $(TRUST) $(BIN)/uv pip compile -q pyproject.toml --universal --generate-hashes --python-version 3.11 --no-header --no-annotate

# What `manage.py check --deploy` needs to see production; nothing is connected to and nothing is kept.
DEPLOY := VOICEHELPER_MODE=production VOICEHELPER_DATA=/nonexistent SANDBOX=False \
	SERVER_ADDRESS=https://voicehelper.example.com ALLOWED_HOSTS=voicehelper.example.com \
	DATABASE_URL=postgres://nobody@127.0.0.1:1/none REDIS_URL=redis://127.0.0.1:1/0 \
	WECHAT_PAY_BASE_URL= ALIPAY_GATEWAY_URL= WECHAT_API_BASE_URL=

# Some containers set this. Without compiled modules every start of Django takes three times as long.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test test-all test-newest test-here test-rare soak lint bench chaos clients lighthouse audit-deps sbom lock messages browser

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

run: $(INSTALLED) ## the whole product with demo data, on http://127.0.0.1:8000 (PORT=…, VOICEHELPER_DATA=…)
	@exec $(EMBEDDED) run

PYTEST = $(EMBEDDED) exec --no-fsync -- $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup \
	$(if $(VOICEHELPER_SOAK),--timeout 1800) $(T) $(if $(K),-k '$(K)')

test: $(INSTALLED) browser ## the tests; some of them: T=tests/topup, K=refund
	@exec $(PYTEST) $(if $(T)$(K),,-m 'not rare')

test-all: $(INSTALLED) browser ## and those that are slow and seldom tell more; and all again under the newest Python here
	@$(PYTEST)
	@$(if $(VOICEHELPER_SOAK),,$(MAKE) --no-print-directory test-newest)

# In an environment of its own. Shims of a version manager that has not switched the version on count as not there.
test-newest: $(INSTALLED)
	@version='import sys; print("%d.%d" % sys.version_info[:2])'; own=$$($(BIN)/python -c "$$version"); \
	for python in python3.13 python3.12 none; do newest=$$("$$python" -c "$$version" 2>/dev/null) && break; done; \
	case $$python in python$$own|none) echo "Tried under Python $$own only: there is no newer one here up to 3.13."; exit;; esac; \
	exec $(MAKE) --no-print-directory VENV=$(VENV)/$$newest PYTHON=$$python test-here

test-here: $(INSTALLED)
	@exec $(PYTEST)

test-rare: $(INSTALLED) browser ## what `make test` leaves to `make test-all`
	@exec $(PYTEST) -m rare

soak: export VOICEHELPER_SOAK = 1
soak: test-all ## the same tests with their full counts (long)

lint: $(INSTALLED) ## style, types, migrations, static files, deployment settings, security, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/bandit -q -r . --severity-level high -x ./.venv,./.clients,./.data,./tests
	@keys=$$($(BIN)/python -c 'from voicehelper.embedded.environment import new_keys as k; print(*map("=".join, k().items()))'); \
		export $$keys $(DEPLOY); $(BIN)/python manage.py collectstatic --noinput -v 0; \
		$(BIN)/python manage.py check --deploy --fail-level WARNING
	@$(EMBEDDED) exec -- bash -ec '$(BIN)/mypy; $(BIN)/python manage.py makemigrations --check --dry-run; \
		$(BIN)/python -m pytest -q -n 0 tests/test_imports.py tests/test_migrations.py'

bench: $(INSTALLED) ## what it can carry on this machine
	@exec $(EMBEDDED) exec -- $(BIN)/python -m tests.bench

chaos: $(INSTALLED) ## everything goes wrong at once, and every order is counted (ORDERS=…, MINUTES=…, SEED=…, CALM=…)
	@exec $(EMBEDDED) exec --no-fsync -- $(BIN)/python -m tests.chaos $(if $(ORDERS),--orders $(ORDERS)) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(if $(CALM),--calm $(CALM))

# npm, which comes with our Node.js, looks into the system's store no more than uv does.
clients: export VOICEHELPER_CLIENTS = 1
clients: $(INSTALLED) browser ## Claude Code, Codex and other public clients against /v1 (installs them into .clients/)
	@$(TRUST) $(if $(SYSTEM_CERTS),npm_config_cafile="$${npm_config_cafile:-$(SYSTEM_CERTS)}") $(BIN)/python -m tests.clients
	@exec $(EMBEDDED) exec --no-fsync -- $(BIN)/python -m pytest -n 0 $(or $(T),tests/clients) $(if $(K),-k '$(K)')

lighthouse: $(INSTALLED) browser ## Lighthouse's figures of the busiest pages on a throttled phone (installs it into .clients/)
	@exec $(EMBEDDED) exec --no-fsync -- $(BIN)/python -m tests.bench.lighthouse

audit-deps: $(INSTALLED) ## known vulnerabilities in what we depend on
	@$(BIN)/pip-audit --require-hashes --disable-pip -r requirements-dev.txt

CYCLONEDX := cyclonedx-bom==7.5.0
sbom: $(INSTALLED) ## sbom.cdx.json: packages of the image, what is compiled in them, licences (docs/licences.md)
	@$(TRUST) $(BIN)/uv tool run -q --from $(CYCLONEDX) cyclonedx-py requirements requirements.txt \
		--pyproject pyproject.toml --output-reproducible -o sbom.cdx.json
	@$(BIN)/python -m deploy.image.materials sbom.cdx.json docs/licences.md

lock: $(INSTALLED) ## resolve pyproject.toml into requirements*.txt
	@$(UV_COMPILE) -o requirements.txt
	@$(UV_COMPILE) --extra dev -c requirements.txt -o requirements-dev.txt
	@$(UV_COMPILE:pyproject.toml=tests/clients/requirements.in) -o tests/clients/requirements.txt

messages: $(INSTALLED) ## bring locale/*.po up to date (needs GNU gettext)
	@command -v xgettext >/dev/null || { echo 'Install GNU gettext first: apt-get install gettext' >&2; exit 1; }
	@$(EMBEDDED) exec -- $(BIN)/python manage.py makemessages --all --no-wrap --add-location file -i '.venv' -i '.clients' -i '.data' -i tests

# The lock is this file itself: two makes at once build one environment, and the second finds it done. An environment of
# another interpreter, or one whose making was interrupted, is made anew; any other only gets what changed.
$(INSTALLED): requirements-dev.txt
	@exec 9<Makefile; flock 9; [ $@ -nt $< ] && exit; \
	for python in $(PYTHONS) none; do "$$python" -c '$(FITS)' 2>/dev/null && break; done; \
	[ "$$python" != none ] || { echo 'Python 3.11, 3.12 or 3.13 is needed; there is none among: $(PYTHONS)' >&2; exit 1; }; \
	echo "Installing into $(VENV) ($$("$$python" --version))"; \
	base='import os, sys; print(os.path.realpath(sys.executable))'; \
	[ -x $(BIN)/pip ] && [ "$$($(BIN)/python -c "$$base")" = "$$("$$python" -c "$$base")" ] || "$$python" -m venv --clear $(VENV); \
	$(TRUST) $(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION); \
	$(TRUST) $(BIN)/uv pip sync -q --python $(BIN)/python --require-hashes requirements-dev.txt; \
	touch $@

# The browser tests need Chromium. Where we may not install it they say so and are skipped.
browser:
	@if ! { command -v chromium && command -v chromedriver; } >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo 'Installing Chromium for the browser tests'; \
		export DEBIAN_FRONTEND=noninteractive; \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium chromium-driver fonts-noto-cjk; } \
			>/dev/null 2>&1 || echo 'That failed; the browser tests will be skipped.' >&2; \
	fi
