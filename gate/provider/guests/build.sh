#!/bin/sh
# Builds the bundled providers: guests/NAME/lib.rs into guests/NAME.wasm, or into
# the directory given as argument. The result depends on the compiler alone, not
# on where it or the sources lie; the files in the repository are those of
# Debian 12 (apt-get install rustc libstd-rust-dev-wasm32 lld).
#
# RUSTC names another compiler. One that is not $want_rustc gives other bytes.
set -eu
cd "$(dirname "$0")"
want_rustc="rustc 1.63.0"
rustc=${RUSTC:-/usr/bin/rustc}
out=${1:-.}

if [ "$("$rustc" --version | cut -d' ' -f1,2)" != "$want_rustc" ]; then
    echo "build.sh: want $want_rustc, $rustc is $("$rustc" --version)" >&2
    exit 1
fi
# Without std this compiler wants to be told what happens when memory runs out,
# and takes that for a feature of the nightly one; later compilers don't ask.
export RUSTC_BOOTSTRAP=1
for name in http_api; do
    "$rustc" --edition 2021 --crate-name "$name" --crate-type cdylib \
        --target wasm32-unknown-unknown --deny warnings \
        -C opt-level=2 -C target-feature=+bulk-memory -C lto=fat -C codegen-units=1 -C panic=abort -C strip=symbols \
        -C link-arg=-zstack-size=32768 \
        --remap-path-prefix "$PWD=/guests" \
        -o "$out/$name.wasm" "$name/lib.rs"
    chmod 644 "$out/$name.wasm"
done
