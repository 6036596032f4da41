#!/bin/sh
# Makes test/vectors/x87/x87.vec.br anew on this machine's processor. Needs x86-64 with gcc.
# usage: test/vectors/generate/x87/generate.sh [seed [multiple of the usual number of cases]]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

gcc -O1 -Wall -Wextra -o "$work/generate" "$here/x87.c"
mkdir "$work/vectors"
"$work/generate" "${1:-1}" "${2:-2}" > "$work/vectors/x87.vec"
(cd "$here/../../../.." && npx tsx test/vectors/generate/pack.ts "$work/vectors" test/vectors/x87)
