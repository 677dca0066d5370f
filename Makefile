# Everything a developer does, each in one word. `make setup` is called by the others.
SHELL := /bin/bash
.DEFAULT_GOAL := help

.PHONY: help setup demo operator-demo test test-fast test-thorough test-torch e2e soak soak-ray crash-matrix mutation lint format bench bench-operator bench-ray bench-scale dashboard-picture crds lock clean

help:            ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

setup:           ## tools and locked dependencies into .venv (once)
	@scripts/setup dev

demo: setup      ## a real run on real images, start to finish
	@scripts/demo

operator-demo: setup   ## a manifest applied to a real API server, and its run watched
	@scripts/operator-demo

test:            ## the tests; the first time Kubernetes is built for them (minutes)
	@scripts/test

test-fast:       ## those of them that need neither Kubernetes nor a Ray
	@scripts/test fast

test-thorough:   ## the rest: what `make test` shows in a sample
	@scripts/test thorough

test-torch:      ## what needs torch, in an environment of its own
	@scripts/setup torch
	@.venv-torch/bin/python -m pytest -m torch -o addopts="--strict-markers --import-mode=importlib"

e2e: setup       ## every scenario in real pods, in whichever cluster is possible here
	@scripts/e2e

soak: setup      ## kill -9 at random moments, for long (SOAK_ROUNDS=500)
	@.venv/bin/python -m pytest -m soak -o addopts="--strict-markers --import-mode=importlib -s" --timeout=0

soak-ray: setup  ## runs on Ray with random kills, and with given-up attempts that live on (RUNS=50)
	@PYTHONPATH=tests .venv/bin/python -m runtime.ray.soak $(or $(RUNS),50)

crash-matrix: setup ## the operator killed at every write of every life, and every fault of an API server
	@scripts/kube-assets kubernetes > /dev/null
	@PYTHONPATH=tests .venv/bin/python -m kube.crash

mutation: setup  ## thousands of manifests made from the CRDs (COUNT=2000)
	@scripts/kube-assets kubernetes > /dev/null
	@PYTHONPATH=tests .venv/bin/python -m kube.mutation --count $(or $(COUNT),2000)

lint: setup      ## format, lint, types, import contracts, generated files
	@scripts/lint

format: setup    ## put the code into the project's format
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .

bench:           ## peers side by side in one run (an environment of its own)
	@scripts/setup bench
	@.venv-bench/bin/python -m benchmarks

bench-operator: setup ## a thousand pipelines at once
	@scripts/kube-assets kubernetes > /dev/null
	@PYTHONPATH=tests .venv/bin/python benchmarks/operator_scale.py

bench-ray:       ## peers on Ray side by side in one run
	@scripts/setup bench
	@.venv-bench/bin/python -m benchmarks.on_ray

bench-scale:     ## what grows with the number of objects (docs/scale.md)
	@scripts/setup bench
	@.venv-bench/bin/python -m benchmarks.scale

dashboard-picture: setup ## the Grafana dashboard's queries on a real Prometheus, drawn without Grafana
	@scripts/dashboard-picture demo/dashboard.svg

crds: setup      ## write crds/*.yaml, the manifest reference and the chart's copies from the models
	@.venv/bin/python -m lancemill_api.crds crds
	@.venv/bin/python docs/reference.py
	@.venv/bin/python helm/reference.py
	@.venv/bin/python gitops/generate.py

lock:            ## resolve the locks anew from pyproject.toml
	@scripts/lock

clean:           ## environments and caches away
	@rm -rf .venv .venv-* .tools .cache demo
