# Two targets do what most people want: `make demo` shows latchgate working,
# `make test` installs what the tests need and runs them.

BIN   := $(CURDIR)/.tools/bin
export PATH := $(BIN):$(PATH)
# CGO is off in what we ship: one static binary. The race detector needs it on.
BUILD := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w'

.PHONY: demo build install man test tools programs check unit engines fuzz bench guests vulncheck clean

demo: build ## show the whole thing working, offline
	@./bin/latchgate demo

build: ## build bin/latchgate
	@mkdir -p bin
	@$(BUILD) -o bin/latchgate ./cmd/latchgate

install: ## install latchgate into GOBIN
	CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' ./cmd/latchgate

man: build ## write the manual pages into bin/man
	./bin/latchgate man bin/man

test: programs tools check unit ## install what the tests need, lint, and run all tests

# Each tool is a module of its own under tools/, so that none of their
# dependencies are ours; the stamp makes a second run free.
tools: $(BIN)/.sops-stamp $(BIN)/.lint-stamp $(BIN)/.age-stamp $(BIN)/.goclient-stamp $(BIN)/.npm-stamp $(BIN)/.node-stamp $(BIN)/.deploy-stamp

$(BIN)/.sops-stamp: tools/sops/go.mod tools/sops/go.sum
	@echo "building sops (a few minutes, once)"
	cd tools/sops && GOBIN=$(BIN) go install -ldflags '-s -w' github.com/getsops/sops/v3/cmd/sops
	@touch $@

$(BIN)/.lint-stamp: tools/lint/go.mod tools/lint/go.sum
	cd tools/lint && GOBIN=$(BIN) go install honnef.co/go/tools/cmd/staticcheck golang.org/x/vuln/cmd/govulncheck
	@touch $@

$(BIN)/.age-stamp: go.mod
	GOBIN=$(BIN) go install filippo.io/age/cmd/age filippo.io/age/cmd/age-keygen
	@touch $@

$(BIN)/.goclient-stamp: tools/clients/go.mod tools/clients/go.sum tools/clients/main.go
	cd tools/clients && go build -o $(BIN)/goclient .
	@touch $@

# Libraries of Node, and Node itself in two versions, Deno and Bun.
$(BIN)/.npm-stamp: tools/clients/package.json tools/clients/package-lock.json
	@mkdir -p .tools/clients && cp tools/clients/package.json tools/clients/package-lock.json .tools/clients/
	@if command -v npm >/dev/null; then cd .tools/clients && npm ci --no-audit --no-fund --ignore-scripts && touch $@; \
	  else echo "npm is missing: the tests that need its packages will skip"; fi

# The reference MCP client and the AssemblyScript compiler.
$(BIN)/.node-stamp: tools/node/package.json tools/node/package-lock.json
	@mkdir -p $(BIN)/../node && cp tools/node/package.json tools/node/package-lock.json $(BIN)/../node
	@if command -v npm >/dev/null; then cd $(BIN)/../node && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && touch $@; \
	else echo "not installed, the tests that need its packages will skip: npm"; fi

$(BIN)/.deploy-stamp: tools/deploy/go.mod tools/deploy/go.sum tools/deploy/main.go
	@echo "building deploycheck (a minute or two, once)"
	cd tools/deploy && GOBIN=$(BIN) go install -ldflags '-s -w' .
	cd tools/deploy/schemas && go mod download sigs.k8s.io/kubectl-validate github.com/compose-spec/compose-go/v2
	@touch $@

programs: ## install curl, git, python3, node, ... where they are missing
	@tools/programs

check: ## formatting, vet, staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go' 2>/dev/null || find . -name '*.go'))" || { echo "gofmt would change:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	staticcheck ./...

unit: ## all tests, with the race detector; fuzz targets run their seeds
	go test -race -timeout 30m ./...
	cd proxy/grpctest && go vet ./... && go test -race -timeout 30m ./...
	go test -run 'Allocations|IsNotCollected' ./proxy ./gate # what is counted, not timed; the race detector allocates

engines: export LATCHGATE_TEST_ENGINES = 1
engines: programs tools ## as root: the image in Podman, the unit under a systemd that boots
	go test -count=1 -v -run 'RealContainer|UnderSystemd' ./configs

# go test -fuzz takes one target at a time.
FUZZTIME ?= 30s
fuzz: ## run every fuzz target for FUZZTIME
	@set -e; for pkg in $$(go list ./...); do \
	  for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; done; done

bench: ## run the Go benchmarks, and load on a real daemon
	go test -run '^$$' -bench . -benchmem ./...
	go run ./bench/load

guests: ## build the bundled providers from their sources
	gate/provider/guests/build.sh

vulncheck: tools ## known vulnerabilities; asks vuln.go.dev
	govulncheck ./...

clean:
	rm -rf bin .tools
