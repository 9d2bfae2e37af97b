# The commands a newcomer needs. The work is in scripts/; the versions are in package-lock.json and
# tools/model-export/requirements.txt.
PYTHON ?= python3
VENV_PYTHON = .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev bundle demo site pictures test test-thorough test-browsers test-majors test-peers test-notebook test-pictures test-libraries test-detectors examples examples-setup formats formats-setup test-formats lint format clean

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name what; do \
		printf '  make %-14s %s\n' "$$name" "$$what"; done

setup: ## install what the exporter and the page need (.venv, node_modules)
	@$(PYTHON) scripts/setup_python.py
	@$(PYTHON) scripts/setup_node.py

setup-dev:
	@$(PYTHON) scripts/setup_python.py --dev
	@$(PYTHON) scripts/setup_node.py

bundle: setup
	@$(VENV_PYTHON) scripts/demo_bundle.py

demo: bundle ## set up, export the bundled model and open the page's server
	@npm run --silent dev

site: bundle ## build the page and its models as a static folder (VITE_BASE_PATH=/oriel/)
	@$(VENV_PYTHON) scripts/build_site.py

pictures: setup-dev bundle ## take the pictures of docs/ anew: each view, in both languages and themes
	@npx playwright test --config tests/pictures/pictures.config.ts

test-pictures: setup-dev bundle ## the page's views beside the pictures of docs/; nightly on GitHub, not part of test
	@ORIEL_PICTURES=compare npx playwright test --config tests/pictures/pictures.config.ts

examples-setup: setup
	@$(VENV_PYTHON) scripts/setup_examples.py $(EXAMPLES)

examples: examples-setup ## each example from training to verified files (EXAMPLES=cyclegan for one)
	@$(VENV_PYTHON) scripts/run_examples.py $(EXAMPLES)

test: setup-dev ## every test, type checker and linter (PARTS="pytest vitest" for some)
	@$(VENV_PYTHON) scripts/run_checks.py $(PARTS)

test-thorough: setup-dev ## test, with every example of the property tests; nightly on GitHub
	@ORIEL_THOROUGH=1 $(VENV_PYTHON) scripts/run_checks.py $(PARTS)

test-browsers: setup-dev ## one whole tour each in Firefox and WebKitGTK; nightly on GitHub, not part of test
	@$(VENV_PYTHON) scripts/demo_bundle.py
	@found=$$($(VENV_PYTHON) scripts/find_browsers.py) && \
		env $$found npx playwright test --config tests/tours/tours.config.ts

test-majors: setup-dev ## the bundled checkpoint in transformers 4; nightly on GitHub, skipped by test
	@$(VENV_PYTHON) scripts/setup_transformers4.py
	@ORIEL_TRANSFORMERS_4=$(CURDIR)/.setup/transformers4 $(VENV_PYTHON) -m pytest tests/python/test_demo_majors.py

test-peers: setup-dev ## the contract's names in other libraries, by their numbers; nightly on GitHub, skipped by test
	@$(VENV_PYTHON) scripts/setup_peers.py
	@ORIEL_PEERS=$(CURDIR)/.setup/peers $(VENV_PYTHON) -m pytest tests/python/test_peer_names.py

test-notebook: setup-dev ## oriel.show in Jupyter, executed and opened again; nightly on GitHub, skipped by test
	@$(VENV_PYTHON) scripts/setup_notebook.py
	@npm run --silent standalone
	@ORIEL_NOTEBOOK=$(CURDIR)/.setup/notebook $(VENV_PYTHON) -m pytest tests/python/test_notebook_kernel.py
	@found=$$($(VENV_PYTHON) scripts/find_chromium.py) && \
		ORIEL_CHROMIUM=$$found ORIEL_NOTEBOOK=$(CURDIR)/.setup/notebook npx playwright test ui_notebook.spec.ts --project=isolated

test-libraries: setup-dev ## bundles and converted models in transformers.js, Optimum and others; nightly on GitHub, skipped by test
	@$(VENV_PYTHON) scripts/setup_libraries.py
	@ORIEL_LIBRARIES=$(CURDIR)/.setup/libraries $(VENV_PYTHON) -m pytest tests/python/test_libraries.py tests/python/test_library_encoders.py tests/python/test_library_decoders.py

test-detectors: setup-dev ## examples/mmdet3d on small detectors of MMDetection3D; nightly on GitHub, skipped by test
	@$(VENV_PYTHON) scripts/setup_examples.py mmdet3d
	@ORIEL_MMDET3D=$(CURDIR)/.setup/mmdet3d $(VENV_PYTHON) -m pytest tests/python/test_example_mmdet3d.py

formats-setup: setup ## the packages of more formats beside .venv (FORMATS=openvino for one)
	@$(VENV_PYTHON) scripts/setup_formats.py $(FORMATS)

formats: formats-setup ## the bundled model and a small BERT in every format, proven and timed: test-results/formats
	@$(VENV_PYTHON) benchmarks/formats.py --work test-results/formats --models demo,small-bert --rounds 1

test-formats: setup-dev formats-setup ## every format by its own runtime; nightly on GitHub, the fast ones part of test
	@ORIEL_SLOW_FORMATS=1 $(VENV_PYTHON) -m pytest tests/python/test_more_formats.py tests/python/test_coreml.py tests/python/test_tensorrt.py tests/python/test_openvino_int8.py

lint: setup-dev ## the linters and type checkers alone
	@$(VENV_PYTHON) scripts/run_checks.py lint

format: setup-dev ## format the sources
	@$(VENV_PYTHON) -m ruff check --fix --quiet . ; $(VENV_PYTHON) -m ruff format .
	@npm run --silent format

clean: ## remove what was installed, built and exported for the demo
	rm -rf .venv node_modules .setup apps/web/dist apps/web/static/models/demo test-results playwright-report
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
