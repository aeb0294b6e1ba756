# The two commands of a newcomer: `make run` and `make test`.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
KUBECTL := $(CURDIR)/.tools/bin/kubectl
BINARY := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)/debug/switchboard

.PHONY: help run test test-deep lint generate tools build image sbom

help: ## What there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Builds everything, tests included (the same profile for running and testing)
	cargo build --workspace --all-targets

run: ## Builds, then runs everything on this machine with a demo; Ctrl-C stops it
	cargo build -p operator
	exec $(BINARY) up --demo

tools: ## Installs what tests need (kubectl, Helm, Prometheus and others into .tools/; cargo-nextest, cargo-deny)
	@tools/install.sh

test: ## Everything that must hold: format, lints, licences, unit, integration and end-to-end tests
	@tools/test.sh

test-deep: tools ## What takes longer: figures, ten minutes at rest, crash rounds; writes docs/reports/*.md
	@tools/test-deep.sh

lint: ## Format, clippy with warnings denied, licences and duplicates of dependencies
	@tools/lint.sh

generate: ## Generated files: crds/*.yaml, docs/kinds.md, what of the chart comes from the code, schemas of the built-in kinds
	cargo run -q -p crds --example write_crds
	cargo run -q -p crds --example write_reference
	cargo run -q -p controllers --example write_chart
	cargo run -q -p embedded --example generate_schemas
	tools/dashboards.py

image: build ## An image of the program as a file, without a container engine: target/switchboard-image.tar
	@tools/image.sh

sbom: ## A bill of materials of the program: target/switchboard.cdx.json
	@tools/sbom.sh
