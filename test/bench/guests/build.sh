#!/bin/sh
# Rebuilds images/*.bin from rows/*.c, byte for byte with the compiler named in images/TOOLS. Needs gcc and binutils
# that know -m32; no C library.
# usage: test/bench/guests/build.sh [output folder]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/images}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$here"

flags="-m32 -march=i686 -O2 -std=gnu11 -Wall -Wextra -ffreestanding -fno-pic -fno-pie -fno-stack-protector
	-fno-asynchronous-unwind-tables -fcf-protection=none -mno-mmx -mno-sse -mno-80387"
gcc $flags -c -o "$work/boot.o" runtime.S
gcc $flags -c -o "$work/runtime.o" runtime.c
for row in rows/*.c; do
	name=$(basename "$row" .c)
	gcc $flags -c -o "$work/$name.o" "$row"
	ld -m elf_i386 -T link.ld --build-id=none -z noexecstack -o "$work/$name.elf" "$work/boot.o" "$work/runtime.o" "$work/$name.o"
	objcopy -O binary --gap-fill=0xff -j .text -j .boot -j .reset "$work/$name.elf" "$out/$name.bin"
done
chmod 644 "$out"/*.bin
gcc --version | head -n 1 >"$out/TOOLS"
ld --version | head -n 1 >>"$out/TOOLS"
