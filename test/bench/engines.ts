import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** A program that can run a benchmark guest and show its COM1 on standard output. */
export interface Engine {
	readonly name: string;
	/** The command that boots the ROM at `rom`; undefined where the engine has no 64-bit mode and the ROM wants it. */
	readonly command: (rom: string, long: boolean) => readonly [string, ...string[]] | undefined;
	/** The exit status of a guest that writes 0 to port 0xf4. */
	readonly status: number;
	/** Why it cannot run here; undefined when it can. */
	readonly missing: () => string | undefined;
}

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const MEGABYTES = 64;

/** `choice` is what the user gives to --engine. */
function tsvmm(name: string, choice: string): Engine {
	return {
		name,
		command: (rom) => [
			process.execPath,
			path("../../bin/tsvmm"),
			...["run", "--bios", rom, "--memory", `${MEGABYTES}M`, "--serial", "stdio", "--engine", choice, "--log", "error"],
		],
		status: 0,
		missing: () => undefined,
	};
}

export const engines: readonly Engine[] = [
	tsvmm("interpreter", "interpreter"),
	// What users get: the interpreter for cold code, the compiler for hot code.
	tsvmm("compiled", "auto"),
	{
		name: "v86",
		command: (rom, long) =>
			long ? undefined : [process.execPath, "--import", "tsx", path("v86.ts"), rom, String(MEGABYTES)],
		status: 0,
		missing: () => undefined,
	},
	{
		name: "qemu",
		command: (rom, long) => [
			long ? "qemu-system-x86_64" : "qemu-system-i386",
			...["-accel", "tcg", "-m", String(MEGABYTES), "-nodefaults", "-no-reboot", "-display", "none"],
			...["-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-bios", rom],
		],
		status: 1,
		missing: () =>
			spawnSync("qemu-system-i386", ["--version"]).error === undefined
				? undefined
				: "not installed (Debian: apt-get install qemu-system-x86)",
	},
];

/** The path of a built guest. */
export function image(row: string): string {
	return path(`guests/images/${row}.bin`);
}
