# Everything a developer does, each in one word. `make setup` is called by the others.
SHELL := /bin/bash
.DEFAULT_GOAL := help

.PHONY: help setup demo test test-torch soak lint format bench crds lock clean

help:            ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup:           ## tools and locked dependencies into .venv (once)
	@scripts/setup dev

demo: setup      ## a real run on real images, start to finish
	@scripts/demo

test: setup      ## the tests
	@.venv/bin/python -m pytest

test-torch:      ## what needs torch, in an environment of its own
	@scripts/setup torch
	@.venv-torch/bin/python -m pytest -m torch -o addopts="--strict-markers --import-mode=importlib"

soak: setup      ## kill -9 at random moments, for long (SOAK_ROUNDS=500)
	@.venv/bin/python -m pytest -m soak -o addopts="--strict-markers --import-mode=importlib -s" --timeout=0

lint: setup      ## format, lint, types, import contracts, generated files
	@scripts/lint

format: setup    ## put the code into the project's format
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .

bench:           ## peers side by side in one run (an environment of its own)
	@scripts/setup bench
	@.venv-bench/bin/python -m benchmarks

crds: setup      ## write crds/*.yaml and the manifest reference from the models
	@.venv/bin/python -m lancemill_api.crds crds
	@.venv/bin/python docs/reference.py

lock:            ## resolve the locks anew from pyproject.toml
	@scripts/lock

clean:           ## environments and caches away
	@rm -rf .venv .venv-* .tools .cache demo
