#!/bin/sh
# Rebuilds writer.bin, byte for byte, from writer.asm. Needs nasm.
# usage: test/flash/build.sh [output folder]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
nasm -f bin -o "${1:-$here}/writer.bin" "$here/writer.asm"
