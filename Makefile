# Every target creates or updates the environment first; nothing but python3 and make is needed.

VENV := .venv/bin
# More arguments for the command behind a target: make test ARGS="-k void"
ARGS ?=
# Set to return from `make up` once everything is ready.
DETACH ?=

.DEFAULT_GOAL := help
.PHONY: help environment up down status clean demo test lint bench lock

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

environment:
	@bin/bootstrap

up: environment ## Start everything; Ctrl-C stops it (DETACH=1 returns, GATEWAY_PORT=... and the like fix ports)
	@$(VENV)/countermand up $(if $(DETACH),--detach)

down: ## Stop everything
	@[ ! -d .countermand ] || $(VENV)/countermand down

status: ## Show what runs
	@[ ! -d .countermand ] || $(VENV)/countermand status

clean: ## Stop everything and wipe its data
	@[ ! -d .countermand ] || $(VENV)/countermand clean

demo: environment ## Show what the mesh does, on a running stack
	@$(VENV)/countermand demo

# All of them are shared out to four processes, since they mostly wait; a choice is quicker in one.
test: environment ## Run the tests (ARGS="-k void" chooses)
	@$(VENV)/python -m pytest $(or $(ARGS),-n 4)

lint: environment ## Check style, types and who imports whom
	$(VENV)/ruff check
	$(VENV)/mypy
	$(VENV)/lint-imports

bench: environment ## Measure
	@$(VENV)/python -m benchmarks $(ARGS)

lock: environment ## Pin the newest versions that fit pyproject.toml in requirements.lock
	@bin/bootstrap pip install --quiet --upgrade --target .bootstrap/uv uv
	@.bootstrap/uv/bin/uv pip compile --quiet --system-certs --upgrade --universal --python-version 3.11 --all-extras \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
		--output-file requirements.lock pyproject.toml
