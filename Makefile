# Each target is one command; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export MLFLOW_TRACKING_URI ?= sqlite:///mlflow.db
export MLFLOW_DISABLE_TELEMETRY ?= true
# Keep bytecode: otherwise every command compiles MLflow again, which takes longer than its work.
unexport PYTHONDONTWRITEBYTECODE
# Any other variable of pip, uv, twine and hatch would install elsewhere, other bytes or from another
# index: mlflow_sealed.surroundings says what these do. UV_EXCLUDE_NEWER is for make lock alone.
KEPT := PIP_CACHE_DIR PIP_CERT PIP_CLIENT_CERT PIP_CONFIG_FILE PIP_DEFAULT_TIMEOUT \
  PIP_DISABLE_PIP_VERSION_CHECK PIP_EXTRA_INDEX_URL PIP_INDEX_URL PIP_KEYRING_PROVIDER \
  PIP_NO_CACHE_DIR PIP_NO_COLOR PIP_NO_INPUT PIP_PROGRESS_BAR PIP_PROXY PIP_RETRIES \
  PIP_ROOT_USER_ACTION PIP_TIMEOUT PIP_TRUSTED_HOST TWINE_CERT TWINE_NON_INTERACTIVE \
  TWINE_PASSWORD TWINE_REPOSITORY_URL TWINE_USERNAME UV_CACHE_DIR UV_COMPILE_BYTECODE \
  UV_COMPILE_BYTECODE_TIMEOUT UV_CONCURRENT_BUILDS UV_CONCURRENT_CACHE_READS \
  UV_CONCURRENT_DOWNLOADS UV_CONCURRENT_INSTALLS UV_CREDENTIALS_DIR UV_DEFAULT_INDEX \
  UV_EXCLUDE_NEWER UV_HTTP_CONNECT_TIMEOUT UV_HTTP_RETRIES UV_HTTP_TIMEOUT UV_INDEX UV_INSECURE_HOST \
  UV_KEYRING_PROVIDER UV_LINK_MODE UV_LOCK_TIMEOUT UV_NATIVE_TLS UV_NO_CACHE UV_NO_PROGRESS \
  UV_PYTHON_INSTALL_DIR UV_REQUEST_TIMEOUT UV_SYSTEM_CERTS UV_INDEX_%_USERNAME \
  UV_INDEX_%_PASSWORD
unexport $(filter-out $(KEPT),$(filter HATCH_% PIP_% TWINE_% UV_%,$(.VARIABLES)))

# Every script of a .venv has its path: that of a repository which was moved is made anew.
ifeq ($(shell grep -lF '$(CURDIR)/.venv/bin/python' .venv/bin/mlflow-sealed 2>/dev/null),)
.PHONY: .venv/ready
endif

.PHONY: help demo test check lint setup lock feed publish train tune score promote rollback serve ui report due image tag record bench soak matrix clean

help: ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: .venv/ready ## the whole path: publish, train, serve, predict; ARGS='-P trees=300', VERBOSE=1
	@python -m examples.demo $(ARGS)

test: .venv/ready ## all tests, with branch coverage; ARGS=tests/training for some, without the coverage limits
	@setup/packages.sh || echo 'the tests that need these packages are skipped' >&2
	python -m pytest -n 3 --no-loadscope-reorder --cov --cov-report= --junit-xml=junit.xml $(ARGS)
	coverage xml --quiet
	$(if $(ARGS),,coverage report --include='mypreprocessing/*' --fail-under=100)
	$(if $(ARGS),,@if grep -q ' skipped="0"' junit.xml; then coverage report --fail-under=90; else echo 'tests were skipped: the coverage of all code is not checked' >&2; fi)

check: .venv/ready lint ## lint and the quick tests, which need no server, engine, browser or Spark
	python -m pytest -n 2 -m 'not services and not slow' $(ARGS)

lint: .venv/ready ## check formatting, lint, types and the pipeline's schema
	shellcheck .ci/run .ci/fresh_machine setup/*.sh findings/*.sh
	ruff format --check .
	ruff check .
	mypy
	lint-imports
	yamllint --strict azure-pipelines.yml conda.yaml MLproject .yamllint
	check-jsonschema --builtin-schema vendor.azure-pipelines --data-transform azure-pipelines --regex-variant nonunicode azure-pipelines.yml
	hadolint mlflow_sealed/src/mlflow_sealed/image/Dockerfile

setup: ## install the system packages that the tests need; as root on Debian or Ubuntu
	@setup/packages.sh

lock: .venv/ready ## resolve all requirements and write the locks; ARGS=--same-version
	mlflow-sealed feed lock $(ARGS)

feed: .venv/ready ## serve the local feed until Ctrl-C
	mlflow-sealed feed serve

publish: .venv/ready ## build the private packages and publish them to the feed; ARGS=--upload-url=URL
	mlflow-sealed feed publish $(ARGS)

train: .venv/ready ## train, measure and register a model (mlflow run); ARGS='-P trees=300'
	mlflow-sealed feed run -- mlflow run . --env-manager uv --experiment-name diabetes $(ARGS)

tune: .venv/ready ## search the parameters of the trees (mlflow run); ARGS='-P trials=200 -P minutes=30'
	mlflow-sealed feed run -- mlflow run . -e tune --env-manager uv --experiment-name diabetes $(ARGS)

score: .venv/ready ## score a table with the champion (mlflow run); ARGS='-P input=… -P output=…'
	mlflow-sealed feed run -- mlflow run . -e batch_score --env-manager uv --experiment-name diabetes $(ARGS)

promote: .venv/ready ## make a registered version the champion; VERSION=3
	mlflow-sealed model promote $(VERSION)

rollback: .venv/ready ## go back to the previous champion
	mlflow-sealed model rollback

serve: .venv/ready ## serve the champion on 127.0.0.1:5000, as the container does
	mlflow-sealed serve

ui: .venv/ready ## serve the MLflow UI on 127.0.0.1:5001
	@case "$$MLFLOW_TRACKING_URI" in http*) echo "error: MLFLOW_TRACKING_URI names a server: open its address in a browser" >&2; exit 1;; esac
# One user and no background jobs: 2 processes instead of 15, and a third of the start time.
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow-sealed feed drop -- mlflow ui --backend-store-uri "$$MLFLOW_TRACKING_URI" --workers 1 --host 127.0.0.1 --port 5001

report: .venv/ready ## write the champion's run to one file, report.html; ARGS=RUN_ID for another run
	mlflow-sealed model report $(ARGS)

due: .venv/ready ## does the champion need an image? REPOSITORY=registry.example.org/diabetes
	mlflow-sealed image due $(REPOSITORY)

image: .venv/ready ## build the champion's container image, diabetes:latest, and test it
	mlflow-sealed image build

tag: .venv/ready ## name the tested image for a registry, before you push it; REPOSITORY=…
	mlflow-sealed image tag $(REPOSITORY)

record: .venv/ready ## record the pushed digest at the model's version; REPOSITORY=…
	mlflow-sealed image record $(REPOSITORY)

bench: .venv/ready ## measure image, server, workers and batch scoring, and compare them with others; 35 minutes
	python -m benchmarks.image
	python -m benchmarks.serving
	python -m benchmarks.workers
	python -m benchmarks.batch --output benchmarks

soak: .venv/ready ## check that the server's memory does not grow under mixed load; 10 minutes, ARGS='--minutes 2'
	python -m benchmarks.soak $(ARGS)

matrix: .venv/ready ## read Parquet of every type, encoding, page version and codec, of four writers; 4 minutes
	@setup/packages.sh || echo 'the tests that need these packages are skipped' >&2
	python -m pytest tests/mlflow_sealed/server/protocol/whole_parquet_matrix.py $(ARGS)

clean: ## remove .venv and the caches; runs and the local feed stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .coverage .coverage.* coverage.xml junit.xml
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/ready: requirements-uv.txt requirements-dev.txt mypreprocessing/pyproject.toml mlflow_sealed/pyproject.toml
	@setup/environment.sh
	@touch $@
