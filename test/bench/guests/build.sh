#!/bin/sh
# Rebuilds images/*.bin from rows/*.c, byte for byte with the compiler named in images/TOOLS: NAME.bin for 32-bit and
# NAME64.bin for 64-bit mode. Needs gcc and binutils that know -m32; no C library.
# usage: test/bench/guests/build.sh [output folder]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/images}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$here"

flags="-O2 -std=gnu11 -Wall -Wextra -ffreestanding -fno-pic -fno-pie -fno-stack-protector
	-fno-asynchronous-unwind-tables -fcf-protection=none"

# build SUFFIX BOOT EMULATION FLAGS...
build() {
	suffix=$1 boot=$2 emulation=$3
	shift 3
	gcc $flags "$@" -c -o "$work/boot.o" "$boot"
	gcc $flags "$@" -mno-mmx -mno-sse -c -o "$work/runtime.o" runtime.c
	for row in rows/*.c; do
		name=$(basename "$row" .c)
		case $suffix$name in
		matrix | 64exit) continue ;; # the 32-bit machine of these rows has no SSE; starting costs the same
		64matrix) vector="-msse2" ;;
		*) vector="-mno-mmx -mno-sse" ;;
		esac
		gcc $flags "$@" $vector -c -o "$work/$name.o" "$row"
		ld -m "$emulation" -T link.ld --build-id=none -z noexecstack -o "$work/$name.elf" "$work/boot.o" "$work/runtime.o" \
			"$work/$name.o"
		objcopy -O binary --gap-fill=0xff -j .text -j .boot -j .reset "$work/$name.elf" "$out/$name$suffix.bin"
	done
}
build "" runtime.S elf_i386 -m32 -march=i686 -mno-80387
build 64 runtime64.S elf_x86_64 -m64 -mno-red-zone -mno-80387
chmod 644 "$out"/*.bin
gcc --version | head -n 1 >"$out/TOOLS"
ld --version | head -n 1 >>"$out/TOOLS"
