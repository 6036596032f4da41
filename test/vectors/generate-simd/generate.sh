#!/bin/sh
# Makes test/vectors/simd.txt.br anew on this machine's processor, which must have every feature that the declarations
# name up to AVX2, VAES, VPCLMULQDQ and SHA. Needs x86-64 Linux with gcc.
# usage: test/vectors/generate-simd/generate.sh [encodings per form] [seed]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

gcc -O1 -Wall -Wextra -o "$work/run" "$here/run.c"
cd "$here/../../.."
npx tsx "$here/cases.ts" "${1:-2}" "${2:-1}" > "$work/cases"
"$work/run" < "$work/cases" > "$work/simd.txt"
node -e 'process.stdout.write(require("node:zlib").brotliCompressSync(require("node:fs").readFileSync(0)))' \
	< "$work/simd.txt" > "$here/../simd.txt.br"
