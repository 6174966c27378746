# `make demo` and `make test` are all a new user needs; each installs what is missing.
# Everything else is for those who work on Soter. `make` alone lists the targets.

.PHONY: help demo test check soak fuzz test-versions

help:
	@echo "make demo                 protect a real PostgreSQL cluster, lose it, bring it back"
	@echo "make test                 checks and all tests"
	@echo "make soak SEEDS=0..1000   the random suites over these seeds; restartable"
	@echo "make fuzz CASES=10000     the properties of parsers over many inputs"
	@echo "make test-versions        the tests with real servers on PostgreSQL 14 to 18"

demo:
	scripts/install-test-tools
	cargo run --release --locked --quiet --package soter-cli --bin soter -- demo

test:
	scripts/install-test-tools
	scripts/check

check:
	scripts/check

SEEDS ?= 0..1000
soak:
	scripts/soak $(SEEDS)

CASES ?= 10000
fuzz:
	scripts/fuzz $(CASES)

test-versions:
	scripts/test-versions
