/**
 * What a flash costs a guest, beside QEMU: programming byte by byte as UEFI's variable driver does, and changes between array and
 * command mode. `npx tsx test/bench/flash.ts`
 *
 * Processor time of the whole process, user and system, since much of QEMU's is the kernel's.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bigReal, type Code, exit, tinyRom } from "../support/tiny-rom.ts";
import { median } from "./measure.ts";

const ROUNDS = 5;
const FLASH_BYTES = 0x4_0000;

/**
 * 66 blocks of 4 KiB are erased, programmed from their end on, read back: 270,336 bytes, a read-back for each 455 of them, as when OVMF
 * makes room in a full store of 128 KiB.
 */
const RECLAIM: Code = [
	...[0x66, 0xbb, 0x42, 0, 0, 0], // mov ebx, 66
	...[0x66, 0xbf, 0, 0, 0xfb, 0xff], // mov edi, flash
	// block:
	...[0x67, 0xc6, 0x07, 0x20, 0x67, 0xc6, 0x07, 0xd0, 0x67, 0xc6, 0x07, 0xff], // mov byte [edi], 20h; D0h; FFh
	...[0x67, 0x66, 0x8d, 0xb7, 0, 0x10, 0, 0], // lea esi, [edi+4096]
	...[0x66, 0xbd, 0xc7, 1, 0, 0], // mov ebp, 455
	// next:
	...[0x66, 0x4e, 0x66, 0x89, 0xf0], // dec esi; mov eax, esi
	...[0x67, 0xc6, 0x06, 0x10, 0x67, 0x88, 0x06], // mov byte [esi], 10h; mov [esi], al
	...[0x66, 0x4d, 0x75, 0x18], // dec ebp; jnz more
	...[0x67, 0xc6, 0x06, 0xff], // mov byte [esi], FFh
	...[0x66, 0xbd, 0xc7, 1, 0, 0], // mov ebp, 455
	...[0x67, 0x02, 0x04, 0x2e, 0x66, 0x4d, 0x75, 0xf8], // back: add al, [esi+ebp]; dec ebp; jnz back
	...[0x66, 0xbd, 0xc7, 1, 0, 0], // mov ebp, 455
	...[0x66, 0x39, 0xfe, 0x75, 0xd3], // more: cmp esi, edi; jnz next
	...[0x67, 0xc6, 0x07, 0xff], // mov byte [edi], FFh
	...[0x66, 0x81, 0xc7, 0, 0x10, 0, 0], // add edi, 4096
	...[0x66, 0x81, 0xff, 0, 0, 0xff, 0xff, 0x75, 0x06], // cmp edi, end; jnz same
	...[0x66, 0xbf, 0, 0, 0xfb, 0xff], // mov edi, flash
	...[0x66, 0x4b, 0x75, 0x9b], // same: dec ebx; jnz block
];

/** 40,000 changes of mode, and a direct read after each two. */
const SWITCHES: Code = [
	...[0x66, 0xb9, 0x20, 0x4e, 0, 0], // mov ecx, 20000
	...[0x66, 0xbf, 0, 0, 0xfd, 0xff], // mov edi, flash
	...[0x67, 0xc6, 0x07, 0x70, 0x67, 0xc6, 0x07, 0xff], // next: mov byte [edi], 70h; mov byte [edi], FFh
	...[0x67, 0x02, 0x47, 0x05], // add al, [edi+5]
	...[0x66, 0x49, 0x75, 0xf0], // dec ecx; jnz next
];

const folder = mkdtempSync(join(tmpdir(), "tsvmm-flash-"));
const rom = join(folder, "rom.bin");
const flash = join(folder, "flash.bin");
const tsvmm = fileURLToPath(new URL("../../bin/tsvmm", import.meta.url));
const drive = (unit: number, file: string): string[] => ["-drive", `if=pflash,unit=${unit},format=raw,file=${file}`];

const PROGRAMS: readonly { readonly name: string; readonly status: number; readonly command: readonly string[] }[] = [
	{
		name: "tsvmm",
		status: 0,
		command: [process.execPath, tsvmm, ...["run", "--log", "error", "--flash", `${rom},readonly`, "--flash", flash]],
	},
	{
		name: "qemu",
		status: 1,
		command: [
			"qemu-system-x86_64",
			...["-accel", "tcg", "-nodefaults", "-display", "none", "-device", "isa-debug-exit,iobase=0xf4,iosize=1"],
			...drive(0, `${rom},readonly=on`),
			...drive(1, flash),
		],
	},
];

/** Seconds of processor time that one run takes. */
function seconds(status: number, command: readonly string[]): number {
	const script = 'TIMEFORMAT="%U %S"; time "$@" 2>/dev/null';
	const result = spawnSync("bash", ["-c", script, "bash", ...command], { encoding: "utf8", timeout: 120_000 });
	if (result.status !== status) throw new Error(`${command[0]}: ${result.error?.message ?? `status ${result.status}`}`);
	const [user, system] = result.stderr.trim().split(/\s+/).map(Number);
	return user! + system!;
}

try {
	for (const [name, code] of [
		["program 270,336 bytes one by one", RECLAIM],
		["40,000 changes of mode", SWITCHES],
	] as const) {
		writeFileSync(rom, tinyRom([...bigReal, ...code, ...exit(0)]));
		const times = PROGRAMS.map((): number[] => []);
		const contents: Buffer[] = [];
		for (let round = 0; round < ROUNDS; round++) {
			PROGRAMS.forEach(({ status, command }, n) => {
				writeFileSync(flash, new Uint8Array(FLASH_BYTES));
				times[n]!.push(seconds(status, command));
				contents.push(readFileSync(flash));
			});
		}
		if (contents.some((each) => !each.equals(contents[0]!))) throw new Error(`${name}: the files differ`);
		const [ours = 0, theirs = 0] = times.map(median);
		const all = `tsvmm ${ours.toFixed(2)} s, qemu ${theirs.toFixed(2)} s, ratio ${(ours / theirs).toFixed(2)}`;
		console.log(`${name.padEnd(40)}${all}`);
	}
} finally {
	rmSync(folder, { recursive: true });
}
