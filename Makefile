# `make demo` and `make test` are all a new user needs; both install what is missing.
# Everything else is for those who work on Soter. `make` alone lists the targets.

.PHONY: help demo demo-full test check lab derived soak soak-real soak-scenes fuzz bench bench-check bench-run test-versions

help:
	@echo "make demo                 the main job on a real server: protect, lose, bring back, measure"
	@echo "make demo-full            all of a KOSMOS, lost and recovered by its plan: phases beside their budgets"
	@echo "make test                 checks and all tests"
	@echo "make lab                  a KOSMOS of real servers on this machine, to be broken: kosmos-lab"
	@echo "make derived              the plan's schema and the index of findings, written from the code"
	@echo "make soak SEEDS=0..1000   the random suites over these seeds, and engines killed everywhere; restartable"
	@echo "make soak-real SEEDS=0..8 real servers and agents killed under load; the machine lost at last"
	@echo "make soak-scenes SEEDS=0..8 the same disasters, with engines killed at ten points for each seed, too"
	@echo "make fuzz SECONDS=60      what must hold for any input: each reader for so long"
	@echo "make bench-check          a plan of 10,000 services and 50,000 needs, checked: time and memory"
	@echo "make bench-run            a run of 5,000 steps: what a step takes of the processor, and of the disk"
	@echo "make bench SIZE=1         Soter beside pgBackRest, on so many gigabytes; restartable"
	@echo "make test-versions        the tests with real servers on PostgreSQL 14 to 18"

demo:
	scripts/install-test-tools
	cargo build --release --locked --package soter-cli
	"$${CARGO_TARGET_DIR:-target}/release/soter" demo

demo-full:
	scripts/install-test-tools
	scripts/install-lab-tools
	scripts/demo-full

test:
	scripts/install-test-tools
	scripts/install-lab-tools
	scripts/check

check:
	scripts/check

lab:
	scripts/install-test-tools
	scripts/install-lab-tools
	cargo build --locked --package soter-cli --package kosmos-lab
	"$${CARGO_TARGET_DIR:-target}/debug/kosmos-lab" up

derived:
	SOTER_WRITE_DERIVED=1 cargo test --locked --package soter-plan derived

SEEDS ?= 0..1000
soak:
	scripts/install-lab-tools
	scripts/soak $(SEEDS)
	scripts/soak scenes 0..0

soak-real:
	scripts/soak real $(SEEDS)

soak-scenes:
	scripts/soak scenes $(SEEDS)

SECONDS ?= 60
fuzz:
	scripts/fuzz $(SECONDS)

SIZE ?= 1
REPEATS ?= 3
bench:
	scripts/install-bench-tools
	cargo build --release --locked --package soter-cli
	tools/bench/bench.py --size $(SIZE) --repeats $(REPEATS)

STEPS ?= 5000
bench-run:
	cargo run --release --locked --package soter-runbook --example long_run -- $(STEPS)

bench-check:
	cargo run --release --locked --package soter-plan --example large_plan

test-versions:
	scripts/test-versions
