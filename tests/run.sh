#!/bin/sh
# Runs the tests that this machine can run, then lists what was left out and why.
#
# A test that needs something that a machine may lack is in a module needs_X, and a long one in a module `long`. Both are
# marked #[ignore], so that a plain `cargo test` lists them as ignored with the reason.
cd "$(dirname "$0")/.." || exit

skip="--skip long::"
skipped=""

# need X REMEDY COMMAND…   skips the modules needs_X if the command fails
need() {
    group=$1
    remedy=$2
    shift 2
    "$@" >/dev/null 2>&1 && return
    skip="$skip --skip needs_$group::"
    skipped="${skipped}SKIPPED: $remedy
"
}

no_camera() {
    for camera in /dev/video*; do
        [ ! -e "$camera" ] || return 1
    done
}

# What tests/camera/machine runs.
camera_machine() (
    PATH=$PATH:/usr/sbin:/sbin
    for tool in qemu-system-x86_64 busybox cpio modprobe v4l2-ctl; do
        command -v "$tool" || exit 1
    done
)

need data "tests on real photos and clips; set WHYCAM_TEST_DATA to a folder that has them" \
    test -d "${WHYCAM_TEST_DATA:-../shared/data}"
need cases "inputs that failed in the hands of others; set WHYCAM_TEST_CASES to a folder that has them" \
    test -d "${WHYCAM_TEST_CASES:-../shared/cases}"
need python "a prepared model in Python; set PYTHON to a Python with numpy, onnxruntime and pillow" \
    "${PYTHON:-python3}" -c 'import numpy, onnxruntime, PIL'
need training_python "training; set WHYCAM_TRAINING_PYTHON to a Python with models/training/requirements.txt" \
    "${WHYCAM_TRAINING_PYTHON:-false}" -c 'import numpy, onnx, PIL, torch'
need no_camera "what happens without a camera; unplug the cameras" no_camera
need qemu "the test on a real camera; make setup-camera installs what it needs" camera_machine
need user_namespaces "full and read-only disks; allow users to mount file systems (unshare -rm)" \
    unshare -rm mount -t tmpfs -o size=300k none /tmp

# $skip holds several words.
# shellcheck disable=SC2086
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --no-fail-fast -- --include-ignored $skip && cargo test --doc
else
    # Many tests wait, for a window or a stream, and leave the processor to others.
    export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(nproc) + 1))}"
    cargo test --no-fail-fast -- --include-ignored $skip
fi
status=$?

printf '%s' "$skipped"
echo "NOT RUN: make test-tract, make test-wheel and the long tests: make soak, make damage, make fuzz, make test-camera, make test-web, make test-ray, make test-systems"
exit $status
