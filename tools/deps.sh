#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the Debian packages that idem needs and that are missing.
# usage: deps.sh build|test|all|isa
#   build: to build and run idem    test: and its tests    all: and lint, sanitizers, fuzzers
#   isa: to build, and for make isa (from x86-64): a compiler for AArch64, its libraries, qemu-user
set -u
build='gcc make binutils libc6-dev pkg-config libutf8proc-dev libxxhash-dev libssl-dev
    libsqlite3-dev libfyaml-dev libjson-c-dev libcurl4-openssl-dev libpcre2-dev librandom123-dev python3 python3-pip ca-certificates'
test='libcmocka-dev'
all='clang libclang-rt-dev shellcheck mandoc'
isa='gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user libutf8proc-dev:arm64 libxxhash-dev:arm64
    libssl-dev:arm64'

case ${1:-all} in
build) wanted=$build ;;
test) wanted="$build $test" ;;
all) wanted="$build $test $all" ;;
isa) wanted="$build $isa" ;;
*) echo "usage: $0 build|test|all|isa" >&2; exit 2 ;;
esac

# Without dpkg: whoever has the libraries may go on.
if ! command -v dpkg-query > /dev/null || ! command -v apt-get > /dev/null; then
    modules='libutf8proc libxxhash libcrypto sqlite3 libfyaml json-c libcurl libpcre2-8'
    # shellcheck disable=SC2086
    if pkg-config --exists $modules; then
        exit 0
    fi
    echo "This is no Debian: install a C compiler, make, pkg-config, python3 with pip, cmocka, Random123," >&2
    echo "and these libraries with their headers: $modules" >&2
    exit 1
fi

# A package may be there for a foreign architecture only.
own=$(dpkg --print-architecture)
missing=''
for package in $wanted; do
    case $package in *:*) arch=${package#*:} ;; *) arch=$own ;; esac
    dpkg-query -W -f='${db:Status-Status} ${Architecture}\n' "$package" 2> /dev/null |
        grep -qE "^installed ($arch|all)\$" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
case $missing in *:arm64*) foreign='dpkg --add-architecture arm64' ;; *) foreign='' ;; esac

if [ "$(id -u)" -ne 0 ]; then
    echo "Packages are missing, and installing them needs root. Run this line, then the same command again:" >&2
    echo "    ${foreign:+sudo $foreign && }sudo apt-get update && sudo apt-get install -y --no-install-recommends$missing" >&2
    exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
$foreign
# shellcheck disable=SC2086
fetch() { apt-get install -y -q --no-install-recommends $missing < /dev/null > "$log" 2>&1; }
if ! fetch; then
    apt-get update -q < /dev/null > /dev/null 2>&1
    if ! fetch; then
        tail -n 20 "$log" >&2
        echo "apt-get could not install:$missing (see above; is the network there?)" >&2
        exit 1
    fi
fi
