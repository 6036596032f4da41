# Every target is one line that calls an npm script or a file that can also be called by hand.
.DEFAULT_GOAL := help
.PHONY: help install build run test check fix bench golden firmware guests isa clean
MAKEFLAGS += --no-print-directory

DEMO_FLASH := build/demo-flash.bin

help: ## show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-audit --no-fund --no-update-notifier --loglevel error
	@touch $@

install: node_modules/.package-lock.json ## install dependencies from the lock file

dist/command/tsvmm.cjs: node_modules/.package-lock.json $(shell find src tools -type f) tsconfig.json tsconfig.build.json
	npm run --silent build

build: dist/command/tsvmm.cjs ## build bin/tsvmm and the library

$(DEMO_FLASH):
	@mkdir -p $(@D) && cp firmware/demo-flash.bin $@

run: build $(DEMO_FLASH) ## boot the ROM in firmware/ (its flash counts the boots)
	@bin/tsvmm run --bios firmware/demo.bin --flash $(DEMO_FLASH)

test: build ## run everything that CI runs: checks and tests, both to their end
	@failed=0; npm run --silent check || failed=1; npm run --silent test || failed=1; exit $$failed

check: install ## check types, lint, format
	npm run --silent check

fix: install ## repair lint and format where that is possible
	npm run --silent fix

bench: build ## measure speed, beside v86 and QEMU
	npm run --silent bench
	npm run --silent bench:kvm
	npm run --silent bench:flash
	npm run --silent bench:boot

golden: install ## rewrite golden files and show what changed
	npm run --silent golden && git diff --stat -- schema test

firmware: ## rebuild the images in firmware/ (needs nasm)
	sh firmware/build.sh

guests: install ## download the Linux kernels that tests boot, into build/guests (needs Debian's apt)
	@sh test/guests/linux.sh && node --import tsx test/guests/linux-initramfs.ts

isa: build ## print the map of all instructions
	bin/tsvmm isa

clean: ## remove everything that was built
	rm -rf dist build
