# make run    set up and boot Debian to a shell     (options of `hypernest run`: make run ARGS="--harts 4")
# make test   set up and run the tests              (options of pytest: make test ARGS="-k console")
# make lint   style, formatting and types
# make bench  speed and memory, side by side with QEMU
# make classification   the pages of docs/classification: some minutes
#
# All of them work on a fresh Debian or Ubuntu machine; what is missing is installed the first time.

VENV := .venv

# What the tests and the benchmarks compare with, and what they build guests with.
PROGRAMS := qemu-system-riscv64 qemu-riscv64 riscv64-linux-gnu-gcc libc6-dev-riscv64-cross dtc cpio opensbi u-boot-qemu \
	gdb-multiarch

# The ISAs that have a page.
CLASSIFIED := third-generation pdp10 x86 riscv64

.PHONY: run test lint bench classification programs clean

run: $(VENV)/installed
	@$(VENV)/bin/hypernest run $(ARGS)

test: programs $(VENV)/installed-dev
	$(VENV)/bin/python -m pytest -n 2 $(ARGS)

lint: $(VENV)/installed-dev
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy --strict

bench: programs $(VENV)/installed
	@$(VENV)/bin/hypernest bench $(ARGS)

classification: $(VENV)/installed-dev
	@set -e; for isa in $(CLASSIFIED); do \
		$(VENV)/bin/hypernest classify $$isa --setting all --markdown docs/classification/$$isa.md >/dev/null; \
		echo "docs/classification/$$isa.md"; \
	done

programs:
	@tools/programs $(PROGRAMS)

$(VENV)/installed: pyproject.toml tools/venv
	@tools/venv $(VENV)
	@echo "installing hypernest into $(VENV)"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo "installing what the tests need into $(VENV)"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
