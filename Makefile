# Words: build, test, lint, bench, fmt. `make test` is everything a change must pass.

.PHONY: build test setup lint bench fmt

build:
	go build -trimpath -o bin/ ./cmd/fleetline

test: setup lint
	scripts/test

setup:
	scripts/setup

lint:
	scripts/lint

# The gateway beside other servers; writes docs/benchmarks.md. BENCH takes flags of fleetline bench.
bench: build
	scripts/bench $(BENCH)

fmt:
	gofmt -w .
