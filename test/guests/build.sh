#!/bin/sh
# Rebuilds images/*.bin, byte for byte, from source/*.asm. Needs nasm.
# usage: test/guests/build.sh [output folder]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/images}
for source in "$here"/source/*.asm; do
	nasm -f bin -i "$here/source/" -o "$out/$(basename "$source" .asm).bin" "$source"
done
