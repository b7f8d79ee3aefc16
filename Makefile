# The targets, explained: make help
.DEFAULT_GOAL := help
.PHONY: help run test check-deploy soak soak-clients soak-stream soak-connect hostile scale bench bench-compare fuzz lint cover site release deps

FUZZTIME ?= 30s
SOAK ?= 10m
HOSTILE ?= 10m
ACK ?= accepted
KILLS ?= 200
CLIENTS ?= 20000

# Packages whose tests take longest: they start first. Tests mostly wait, so that more run at
# once than there are processors.
LONGEST = ./cmd/broadcaster/e2e ./feed/tickfile ./web/... ./feed/...

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## run the server; with nothing configured it brings its own Redis and prices
	go run ./cmd/broadcaster

test: deps ## run every test with the race detector, list the slowest; installs what is missing
	go run ./internal/testrun -race -parallel 3 -timeout 20m $(LONGEST) ./...

check-deploy: ## check deploy and docker-compose.yml against the code of Prometheus, Helm, Kubernetes and Compose
	cd deploy/check && go vet ./... && go test -count=1 ./...

soak: deps ## inject faults for SOAK (10m) over every kind of Redis, print what each cost (ACK=replicated: PUBLISH_ACK)
	SOAK=$(SOAK) FXCAST_PUBLISH_ACK=$(ACK) go test -race -count 1 -timeout 0 -v -run '^TestSoak$$' ./cmd/broadcaster/e2e

soak-clients: deps ## cut 100 clients of each language 1,000 times at random moments
	FXCAST_LONG=1 go test -race -count 1 -timeout 30m -v -run '^Test(Python|JavaScript|Go)Cuts$$' ./cmd/broadcaster/e2e

soak-stream: deps ## kill KILLS (200) nodes, servers and producers for each kind of Redis while quotes come in the stream
	FXCAST_KILLS=$(KILLS) go test -count 1 -timeout 0 -v -run '^TestStreamKills$$' ./cmd/broadcaster/e2e

soak-connect: deps ## kill processes connected to a vendor, nodes and Redis in turn for SOAK (10m), account for every price
	FXCAST_KILL_TIME=$(SOAK) go test -count 1 -timeout 0 -v -run '^TestConnectKills$$' ./cmd/broadcaster/e2e

hostile: deps ## attack a node beside 500 good clients for HOSTILE (10m), print what each attack cost
	HOSTILE=$(HOSTILE) go test -count 1 -timeout 0 -v -run '^TestHostileClients$$' ./cmd/broadcaster/e2e

scale: deps ## measure three nodes with CLIENTS (20000) clients on a cluster, for docs/scaling.md (3 minutes)
	FXCAST_SCALE=$(CLIENTS) go test -count 1 -timeout 15m -v -run '^TestThreeNodes$$' ./cmd/broadcaster/e2e

bench: ## run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

bench-compare: deps ## measure against the floor and centrifuge, write docs/benchmarks.md (10 minutes)
	go -C bench/compare run . -root ../..

fuzz: ## run each fuzz target for FUZZTIME (30s)
	@set -e; for pkg in $$(go list ./...); do \
	  for f in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$pkg; \
	  done; \
	done

lint: ## gofmt, vet, staticcheck and deadcode
	@out=$$(gofmt -l .); test -z "$$out" || { echo "gofmt is needed for:"; echo "$$out"; exit 1; }
	go vet ./...
	go tool -modfile=tools.mod staticcheck ./...
	@out=$$(go tool -modfile=tools.mod deadcode -test ./...) && test -z "$$out" || { echo "nobody calls:"; echo "$$out"; exit 1; }

cover: deps ## test coverage, in coverage.html
	go test -timeout 15m -coverpkg ./... -coverprofile cover.out ./...
	go tool cover -func cover.out | tail -n 1
	go tool cover -html cover.out -o coverage.html

site: deps ## build the documents as static HTML, in site/index.html
	/usr/bin/python3 docs/site/build.py site

release: deps ## build the files of a release into dist: binaries, archives, bills of materials, packages, checksums
	rm -rf dist
	go run ./internal/release -out dist

deps: ## install redis-server, chromium, promtool, mkdocs, and modules of Python and Node, which some tests need
	@.ci/deps
