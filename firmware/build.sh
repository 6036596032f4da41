#!/bin/sh
# Rebuilds the images in this folder, byte for byte, from the sources beside them. Needs nasm.
# usage: firmware/build.sh [output folder]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here}

nasm -f bin -o "$out/demo.bin" "$here/demo/demo.asm"

nasm -f bin -o "$out/linuxboot.bin" "$here/linuxboot/linuxboot.asm"
nasm -f bin -o "$out/services.bin" "$here/services/services.asm"

# A blank flash: 128 KiB of ones.
head -c 131072 /dev/zero | tr '\000' '\377' > "$out/demo-flash.bin"
