# make demo    build, and explain drawn flowers in a window (or to a film if there is no display)
# make test    build, and run the tests; the others are test-tract, test-wheel, test-camera, test-web, test-ray,
#              test-systems, damage, fuzz and soak
# make trials  explain small inputs of every kind that failed once, and print what is right and what came out
# make wheel   build the Python package; make docs builds the documentation as a site
# make setup   install what those two need; quick if nothing is missing
# make lint    check format, clippy, documentation, spelling, licences, interface; make features checks each feature alone
# make dist    build an archive that runs on a bare Debian 12

PACKAGES := build-essential pkg-config libclang-dev python3-pip \
	libavcodec-dev libavfilter-dev libavformat-dev libavutil-dev libswresample-dev libswscale-dev
TEST_PACKAGES := ffmpeg librtsp-server-perl openbox parallel python3-venv xdotool xvfb
ONNXRUNTIME := 1.32.0
DATA := $(or $(XDG_DATA_HOME),$(HOME)/.local/share)/whycam
LIBRARY := $(DATA)/libonnxruntime.so
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: demo test wheel docs trials test-camera test-tract test-wheel test-web test-ray test-systems soak kiosk-day damage fuzz setup setup-camera packages lint features dist reference train train-vgg gallery

demo: packages $(LIBRARY)
	cargo run --release -- demo

test: setup
	tests/run.sh

# The Python package: a wheel in target/wheels.
PROFILE ?= release
WHEELS ?= $(CURDIR)/target/wheels
TOOLS := $(CURDIR)/target/wheel-tools
wheel: setup
	python3 -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet "maturin>=1.9,<2"
	cd src/python/package && $(TOOLS)/bin/maturin build --quiet --profile $(PROFILE) --out $(WHEELS)
	@ls -lh $(WHEELS)

# The documentation as a site, in target/site.
BOOK := target/book
docs: setup
	command -v mdbook >/dev/null || cargo install --quiet --locked mdbook@0.5.4
	cargo test --test tests documentation::
	rm -rf $(BOOK) && mkdir -p $(BOOK)/models $(BOOK)/tests/bench
	cp -r README.md ARCHITECTURE.md ATTRIBUTION.md CHANGELOG.md CONTRIBUTING.md docs examples $(BOOK)
	cp models/README.md models/*.toml $(BOOK)/models
	cp tests/*.rs $(BOOK)/tests && cp -r tests/bench/soak $(BOOK)/tests/bench
	mv $(BOOK)/docs/SUMMARY.md $(BOOK)/docs/book.toml $(BOOK)
	cargo run --release -- generate reference $(BOOK)/docs
	mdbook build $(BOOK)
	# mdBook calls the page of a README index, and leaves links to it as they are.
	cp target/site/models/index.html target/site/models/README.html

# Camera failures of every kind, in a virtual machine.
test-camera: setup setup-camera
	cargo test --test camera -- --include-ignored --test-threads 1 --nocapture

# An augmented model in Python and in a headless browser.
test-web: setup
	@$(MAKE) --no-print-directory packages PACKAGES="chromium $$(command -v npm >/dev/null || echo npm)"
	cargo test --test tests python_and_web:: -- --include-ignored --nocapture

# The embedded runtime tract, which a build has to ask for, against ONNX Runtime.
test-tract: setup
	cargo test --features tract --test tests -- both_runtimes_give_the_same_numbers a_broken_library_is_named

# The Python package, as a wheel in a fresh virtual environment, against the program.
test-wheel: setup
	@place=$$(mktemp -d) && trap 'rm -rf "$$place"' EXIT && \
	python3 -m pip download --quiet --no-deps --dest "$$place" "maturin>=1.9,<2" || \
		{ echo "SKIPPED: the Python package; connect to PyPI"; exit 0; }; \
	cargo test --test package -- --include-ignored

# The demo and the tests on a bare Debian 12 and a bare Debian 13.
test-systems:
	$(SUDO) env HOME="$(HOME)" PATH="$(PATH)" tests/systems.sh

# An archive explained on Ray by two workers, of which one is killed, against one run. Needs WHYCAM_TEST_DATA.
test-ray: wheel
	python3 -m venv target/ray
	target/ray/bin/python -m pip install --quiet --force-reinstall --no-deps $(WHEELS)/whycam-*.whl
	target/ray/bin/python -m pip install --quiet $(WHEELS)/whycam-*.whl "ray[data]==2.60.0" "av==18.1.0"
	target/ray/bin/python tests/package/test_ray.py

# An hour (SOAK_SECONDS) of a window with random keys and of a repeated folder. Memory, threads and open files must not
# grow. The log is target/tmp/soak.csv.
soak: setup
	cargo test --test soak -- --ignored --nocapture

# A kiosk whose source dies as often as in a day of deaths every minute. The log is target/tmp/kiosk-day.csv.
kiosk-day: setup
	cargo test --test tests audience:: -- --ignored --nocapture day_of_deaths

# Small inputs of every kind that failed once, as a table of case, right and got.
trials: setup
	cargo test --test tests trials:: -- --nocapture --test-threads 1

# 500 damaged copies each of a model, a picture, a film and a tensor.
damage: setup
	cargo test --test tests corrupted_files:: -- --ignored --nocapture

# Runs each fuzz target for FUZZ_SECONDS. cargo-fuzz needs nightly flags, which RUSTC_BOOTSTRAP allows. Leak detection is
# off because the runtime keeps some memory until the process ends; the soak test covers leaks.
FUZZ_SECONDS ?= 60
fuzz: setup
	for target in onnx_reader differentiator manifest npy command_line; do RUSTC_BOOTSTRAP=1 ASAN_OPTIONS=detect_leaks=0 \
		cargo fuzz run --fuzz-dir tests/fuzz $$target -- -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=4096 || exit 1; done

setup: $(LIBRARY)
	@$(MAKE) --no-print-directory packages PACKAGES="$(PACKAGES) $(TEST_PACKAGES)"

setup-camera:
	@$(MAKE) --no-print-directory packages PACKAGES="busybox-static cpio kmod qemu-system-x86 v4l-utils"

packages:
	@missing=$$(for each in $(PACKAGES); do \
		dpkg-query -W -f '$${Status}' $$each 2>/dev/null | grep -q ' installed$$' || printf '%s ' $$each; done); \
	[ -z "$$missing" ] || { echo "installing $$missing"; \
		$(SUDO) apt-get update -qq && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; }

# The library from ONNX Runtime's wheel on PyPI. It is moved to its path only when it is complete.
$(LIBRARY): | packages
	@echo "fetching ONNX Runtime $(ONNXRUNTIME) into $(DATA)"
	@mkdir -p $(DATA) && new=$$(mktemp -d $(DATA)/new.XXXXXX) && trap 'rm -rf "$$new"' EXIT && \
	python3 -m pip download --quiet --no-deps --only-binary=:all: --implementation cp --python-version 3.12 \
		--abi cp312 --platform manylinux_2_28_$$(uname -m) --platform manylinux_2_27_$$(uname -m) \
		--dest "$$new" onnxruntime==$(ONNXRUNTIME) && \
	python3 -m zipfile -e "$$new"/onnxruntime-*.whl "$$new" && \
	mv "$$new"/onnxruntime/capi/libonnxruntime.so.* $@

# $(call with,TOOL,COMMAND) runs the command if the tool is installed.
with = @command -v $(1) >/dev/null || { echo "SKIPPED: $(1) is not installed"; exit 0; }; $(2)
# The version that the public interface is compared with.
SINCE ?= $(shell git describe --tags --abbrev=0 2>/dev/null)

lint:
	cargo fmt --check
	cargo clippy --all-targets --features tract -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
	$(call with,typos,typos)
	$(call with,cargo-deny,cargo deny check licenses bans sources || exit 1; cargo deny fetch db >/dev/null 2>&1 || \
		{ echo "SKIPPED: the database of advisories cannot be reached"; exit 0; }; cargo deny check advisories)
	$(call with,cargo-semver-checks,[ -n "$(SINCE)" ] || \
		{ echo "SKIPPED: no version is tagged for cargo-semver-checks; SINCE=COMMIT names one"; exit 0; }; \
		cargo semver-checks --baseline-rev $(SINCE))

# Checks the crate without features, and with each feature alone.
features: setup
	for each in "" cli cli,video cli,camera cli,window cli,serve cli,words cli,tract python; do \
		cargo check --no-default-features --features "$$each" || exit 1; done

# One archive with everything but glibc: FFmpeg's libraries from this system, and ONNX Runtime's.
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
DIST := target/dist/whycam-$(VERSION)-$(shell uname -m)-linux
dist: setup
	@$(MAKE) --no-print-directory packages PACKAGES=patchelf
	cargo build --release
	rm -rf $(DIST) && mkdir -p $(DIST)/lib
	cp target/release/whycam README.md ATTRIBUTION.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT $(DIST)
	cp -L $(LIBRARY) $(DIST)
	ldd target/release/whycam $(LIBRARY) | awk '$$2 == "=>" && $$3 ~ /^\// { print $$3 }' | sort -u | \
		grep -vE '/(libc|libm|libdl|librt|libpthread|libresolv)\.so' | xargs cp -L -t $(DIST)/lib
	patchelf --force-rpath --set-rpath '$$ORIGIN/lib' $(DIST)/whycam
	$(DIST)/whycam generate man $(DIST)/man
	$(DIST)/whycam generate completions $(DIST)/completions
	tar -C target/dist -czf $(DIST).tar.gz $(notdir $(DIST))
	@ls -lh $(DIST).tar.gz

# Regenerates the committed reference values. Needs tests/reference/requirements.txt, and for the last line
# requirements-keras.txt, and for relevance.py what it names; the last may need a separate virtual environment: KERAS_PYTHON is its Python.
reference:
	python3 tests/reference/flowers_vgg.py
	python3 tests/reference/models.py
	python3 tests/reference/detectors.py
	python3 tests/reference/methods.py
	python3 tests/reference/relevance.py
	python3 tests/reference/metrics.py
	python3 tests/reference/teaching.py
	$(or $(KERAS_PYTHON),python3) tests/reference/keras_models.py

# The README's pictures. PHOTOS=FOLDER also explains your photos: make gallery PHOTOS=FOLDER
GALLERY := examples/gallery
gallery: setup
	cargo build --release
	target/release/whycam demo --headless --quiet --size 288x216 --fps 5 --frames 75 --force --record $(GALLERY)/demo.gif
	$(GALLERY)/teach.sh
	$(GALLERY)/blends.sh
	$(GALLERY)/page.sh
	$(if $(PHOTOS),target/release/whycam explain $(PHOTOS) -o gallery/ --force)

# make train TRAIN=… VAL=… TEST=…   folders of class folders
train:
	python3 models/training/flowers.py $(TRAIN) --val $(VAL) --test $(TEST) --out models
	cargo run --release -- evaluate $(VAL) --model models/flowers.onnx --choose

# make train-vgg TRAIN=… VAL=… TEST=…   folders of class folders
train-vgg:
	python3 models/training/flowers_vgg.py $(TRAIN) --val $(VAL) --test $(TEST) --out models
