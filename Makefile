# Words: build, test, lint, bench, deb, fmt. `make test` is everything a change must pass.

.PHONY: build test setup lint bench deb fmt

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

# The Debian package, into bin/.
deb:
	scripts/deb

fmt:
	gofmt -w .
