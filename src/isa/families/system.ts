import { family } from "../family.ts";

export const MOV_CR = family("MOV", "Move to or from control register", {
	forms: [
		["0F 20 /r", "Ry, Cy", { size64: "f64", reg: [0, 2, 3, 4, 8] }],
		["0F 22 /r", "Cy, Ry", { size64: "f64", reg: [0, 2, 3, 4, 8] }],
	],
	checks: ["cpl0"],
	undefined: ["cf", "pf", "af", "zf", "sf", "of"],
	ends: true,
	meaning: (x) => {
		if (x.operands[1]?.kind === "creg") x.helper("readControl", x.registerNumber(1), x.registerNumber(0));
		else x.helper("writeControl", x.registerNumber(0), x.registerNumber(1));
	},
});

/** DR4 and DR5 are DR6 and DR7, or nothing with CR4.DE (SDM 3B 17.2.2): the helper's. */
export const MOV_DR = family("MOV", "Move to or from debug register", {
	forms: [
		["0F 21 /r", "Ry, Dy", { size64: "f64" }],
		["0F 23 /r", "Dy, Ry", { size64: "f64" }],
	],
	checks: ["cpl0"],
	undefined: ["cf", "pf", "af", "zf", "sf", "of"],
	ends: true,
	meaning: (x) => {
		if (x.operands[1]?.kind === "dreg") x.helper("readDebug", x.registerNumber(1), x.registerNumber(0));
		else x.helper("writeDebug", x.registerNumber(0), x.registerNumber(1));
	},
});

/** A 32-bit register takes the upper half of CR0 too; memory takes 16 bits. */
export const SMSW = family("SMSW", "Store machine status word", {
	forms: [["0F 01 /4", "RvMw"]],
	checks: ["umip"],
	meaning: (x) => x.write(0, x.state("cr0", x.width(0))),
});

export const LMSW = family("LMSW", "Load machine status word", {
	forms: [["0F 01 /6", "Ew"]],
	checks: ["cpl0"],
	ends: true,
	meaning: (x) => x.helper("lmsw", x.read(0).zext(32)),
});

export const CLTS = family("CLTS", "Clear task-switched flag in CR0", {
	forms: [["0F 06", ""]],
	checks: ["cpl0"],
	ends: true,
	meaning: (x) => x.helper("clts"),
});

/** The helper looks at the descriptor, which is 16 bytes of memory, and the type. */
export const INVPCID = family("INVPCID", "Invalidate process-context identifier", {
	forms: [["66 0F 38 82 /r", "Gy, M", { size64: "f64" }]],
	feature: "invpcid",
	checks: ["cpl0"],
	ends: true,
	meaning: (x) => x.helper("invpcid", x.segment(), x.effectiveAddress(), x.read(0).zext(64)),
});

export const INVD = family("INVD", "Invalidate internal caches", {
	forms: [["0F 08", ""]],
	checks: ["cpl0"],
	meaning: (x) => x.helper("cacheFlush"),
});

export const WBINVD = family("WBINVD", "Write back and invalidate cache", {
	forms: [["0F 09", ""]],
	checks: ["cpl0"],
	meaning: (x) => x.helper("cacheFlush"),
});

export const INVLPG = family("INVLPG", "Invalidate TLB entries", {
	forms: [["0F 01 /7", "M"]],
	checks: ["cpl0"],
	ends: true,
	meaning: (x) => x.helper("invlpg", x.segment(), x.effectiveAddress()),
});

export const HLT = family("HLT", "Halt", {
	forms: [["F4", ""]],
	checks: ["cpl0"],
	ends: true,
	meaning: (x) => x.helper("hlt"),
});

export const CPUID = family("CPUID", "Identify processor", {
	forms: [["0F A2", ""]],
	meaning: (x) => x.helper("cpuid"),
});

/** CR4.TSD is the helper's to look at. It ends a block because it shows the count of instructions. */
export const RDTSC = family("RDTSC", "Read time-stamp counter", {
	forms: [["0F 31", ""]],
	ends: true,
	meaning: (x) => x.helper("rdtsc"),
});

/** Both of its values belong to one moment; CR4.TSD is the helper's to look at. */
export const RDTSCP = family("RDTSCP", "Read time-stamp counter and processor ID", {
	forms: [["0F 01 F9", ""]],
	feature: "rdtscp",
	ends: true,
	meaning: (x) => x.helper("rdtscp"),
});

export const RDPID = family("RDPID", "Read processor ID", {
	forms: [["F3 0F C7 /7", "Ry", { size64: "f64" }]],
	feature: "rdpid",
	meaning: (x) => x.helper("rdpid", x.registerNumber(0)),
});

export const RDPMC = family("RDPMC", "Read performance-monitoring counter", {
	forms: [["0F 33", ""]],
	ends: true,
	meaning: (x) => x.helper("rdpmc"),
});

export const RDMSR = family("RDMSR", "Read model-specific register", {
	forms: [["0F 32", ""]],
	checks: ["cpl0"],
	ends: true,
	meaning: (x) => x.helper("rdmsr"),
});

export const WRMSR = family("WRMSR", "Write model-specific register", {
	forms: [["0F 30", ""]],
	checks: ["cpl0"],
	ends: true,
	meaning: (x) => x.helper("wrmsr"),
});

/** CR4.OSXSAVE is the helper's to look at: #UD without it. */
export const XGETBV = family("XGETBV", "Get value of extended control register", {
	forms: [["NP 0F 01 D0", ""]],
	feature: "xsave",
	meaning: (x) => x.helper("xgetbv"),
});

export const XSETBV = family("XSETBV", "Set extended control register", {
	forms: [["NP 0F 01 D1", ""]],
	feature: "xsave",
	ends: true,
	meaning: (x) => x.helper("xsetbv"),
});
