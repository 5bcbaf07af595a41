#!/bin/sh
# Runs `make demo` and `make test` on other systems, each in a root of its own that starts as a bare Debian or Ubuntu.
#
#     sudo tests/systems.sh [SUITE…]        default: bookworm trixie (Debian 12 and 13)
#
# noble and resolute are Ubuntu 24.04 and 26.04, any other suite is Debian's. Needs root, debootstrap (for Ubuntu also its
# keyring) and a toolchain of rustup, which the roots share. SYSTEMS is the folder for the roots (about 15 GB each), MIRROR
# and UBUNTU_MIRROR are where packages come from. Prints the versions of FFmpeg and the times; a log of each root lies next
# to it.
set -eu
cd "$(dirname "$0")/.."

roots=${SYSTEMS:-/var/tmp/whycam-systems}
mirror=${MIRROR:-http://deb.debian.org/debian}
ubuntu_mirror=${UBUNTU_MIRROR:-http://archive.ubuntu.com/ubuntu}
cargo=${CARGO_HOME:-$HOME/.cargo}
rustup=${RUSTUP_HOME:-$HOME/.rustup}
data=${WHYCAM_TEST_DATA:-$PWD/../shared/data}
cases=${WHYCAM_TEST_CASES:-$PWD/../shared/cases}

# What runs inside a root.
inside='
export HOME=/root PATH=/cargo/bin:/usr/sbin:/usr/bin:/sbin:/bin RUSTUP_HOME=/rustup CARGO_HOME=/cargo DEBIAN_FRONTEND=noninteractive
[ ! -e /data/README.md ] || export WHYCAM_TEST_DATA=/data
[ ! -e /cases/README.md ] || export WHYCAM_TEST_CASES=/cases
cd /whycam
began=$(date +%s)
make demo
ffmpeg -version | head -1
echo "make demo took $(($(date +%s) - began)) s"
began=$(date +%s)
make test
echo "make test took $(($(date +%s) - began)) s"
'

# run ROOT: the mounts go with the process.
run() {
    unshare --mount --pid --fork sh -eu -c '
        root=$1 cargo=$2 rustup=$3 data=$4 cases=$5 inside=$6
        mount --make-rprivate /
        mkdir -p "$root/cargo" "$root/rustup" "$root/data" "$root/cases"
        mount -t proc proc "$root/proc"
        mount --rbind /sys "$root/sys"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs tmpfs "$root/tmp"
        mount --bind "$cargo" "$root/cargo"
        mount --bind "$rustup" "$root/rustup"
        [ ! -d "$data" ] || mount --bind "$data" "$root/data"
        [ ! -d "$cases" ] || mount --bind "$cases" "$root/cases"
        cp /etc/resolv.conf "$root/etc/resolv.conf"
        # Trust whom this machine trusts, such as a proxy of its network.
        mount --bind /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
        exec chroot "$root" sh -eu -c "$inside"
    ' run "$1" "$cargo" "$rustup" "$data" "$cases" "$inside"
}

# bootstrap SUITE ROOT
bootstrap() {
    suite=$1 root=$2
    set -- --variant=minbase --include=ca-certificates,git,make,sudo
    case $suite in
    noble | resolute)
        # debootstrap has one script for all of Ubuntu, gutsy.
        debootstrap "$@" --components=main,universe --keyring=/usr/share/keyrings/ubuntu-archive-keyring.gpg \
            "$suite" "$root" "$ubuntu_mirror" /usr/share/debootstrap/scripts/gutsy
        ;;
    *) debootstrap "$@" "$suite" "$root" "$mirror" ;;
    esac
}

status=0
[ $# -gt 0 ] || set -- bookworm trixie
for suite; do
    root=$roots/$suite
    if [ ! -e "$root.complete" ]; then
        rm -rf "$root"
        mkdir -p "$roots"
        bootstrap "$suite" "$root"
        touch "$root.complete"
    fi
    rm -rf "$root/whycam"
    git clone --quiet . "$root/whycam"
    if run "$root" >"$root.log" 2>&1; then
        echo "$suite: passed"
    else
        echo "$suite: FAILED; $root.log tells why"
        status=1
    fi
    # What was left out in the root is said here too.
    sed -nE '/^ffmpeg version|took [0-9]+ s$|tests run:|^test result:|^SKIPPED|^NOT RUN/p' "$root.log"
done
exit $status
