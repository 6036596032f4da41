import type { Flag } from "../expr.ts";
import { family } from "../family.ts";

const ALL: readonly Flag[] = ["cf", "pf", "af", "zf", "sf", "of"];

/** EFER.SCE is the helper's to look at, and whose processor it is: Intel's have it in 64-bit mode only. */
export const SYSCALL = family("SYSCALL", "Fast system call", {
	forms: [["0F 05", ""]],
	feature: "syscall",
	helperFlags: { reads: ALL, writes: ALL },
	ends: true,
	meaning: (x) => x.helper("syscall"),
});

/** EFER.SCE comes before CPL: the helper's. With REX.W it returns to 64-bit code, else to compatibility mode; outside long mode the flags stay. */
export const SYSRET = family("SYSRET", "Return from fast system call", {
	forms: [["0F 07", "", { sized: true }]],
	feature: "syscall",
	aliases: ["SYSRETQ"],
	helperFlags: { reads: ALL, writes: ALL },
	ends: true,
	meaning: (x) => x.helper("sysret", x.size / 8),
});

export const SYSENTER = family("SYSENTER", "Fast system call", {
	forms: [["0F 34", ""]],
	feature: "sep",
	ends: true,
	meaning: (x) => x.helper("sysenter"),
});

export const SYSEXIT = family("SYSEXIT", "Fast return from system call", {
	forms: [["0F 35", "", { sized: true }]],
	aliases: ["SYSEXITQ"],
	feature: "sep",
	checks: ["cpl0"],
	ends: true,
	meaning: (x) => x.helper("sysexit", x.size / 8),
});
