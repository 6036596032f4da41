#!/bin/sh
# Makes test/vectors/*.vec.br anew on this machine's processor. Needs x86-64 Linux with gcc, and root (it maps memory
# below 64 KiB). The cases are the same on every run; what undefined flags hold depends on the processor.
# usage: test/vectors/generate/generate.sh [cases per variant]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

gcc -O1 -Wall -Wextra -fno-stack-protector -o "$work/generate" "$here"/*.c
mkdir "$work/vectors"
"$work/generate" "$work/vectors" "${1:-165}"
(cd "$here/../../.." && npx tsx test/vectors/generate/pack.ts "$work/vectors" "$here/..")
