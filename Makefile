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

bench:
	go test -run='^$$' -bench=. -benchmem ./...

fmt:
	gofmt -w .
