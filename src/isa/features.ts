/** Registers of CPUID's answer. */
export type CpuidRegister = "eax" | "ebx" | "ecx" | "edx";

/** Where CPUID shows a feature (SDM 2A, CPUID): leaf, sub-leaf, register and bit number. */
export interface FeatureBit {
	readonly leaf: number;
	readonly index: number;
	readonly register: CpuidRegister;
	readonly bit: number;
}

const bits = <const N extends string>(
	leaf: number,
	index: number,
	register: CpuidRegister,
	names: Readonly<Record<N, number>>,
): Record<N, FeatureBit> =>
	Object.fromEntries(
		Object.entries<number>(names).map(([name, bit]) => [name, { leaf, index, register, bit }]),
	) as Record<N, FeatureBit>;

/** Every processor feature that can be switched, by its QEMU name. Instructions name the one that they need. */
export const FEATURES = {
	...bits(1, 0, "edx", {
		fpu: 0,
		vme: 1,
		de: 2,
		pse: 3,
		tsc: 4,
		msr: 5,
		pae: 6,
		mce: 7,
		cx8: 8,
		apic: 9,
		sep: 11,
		mtrr: 12,
		pge: 13,
		mca: 14,
		cmov: 15,
		pat: 16,
		pse36: 17,
		clflush: 19,
		mmx: 23,
		fxsr: 24,
		sse: 25,
		sse2: 26,
		ss: 27,
	}),
	...bits(1, 0, "ecx", {
		pni: 0,
		pclmulqdq: 1,
		monitor: 3,
		ssse3: 9,
		fma: 12,
		cx16: 13,
		pcid: 17,
		"sse4.1": 19,
		"sse4.2": 20,
		x2apic: 21,
		movbe: 22,
		popcnt: 23,
		"tsc-deadline": 24,
		aes: 25,
		xsave: 26,
		avx: 28,
		f16c: 29,
		rdrand: 30,
		hypervisor: 31,
	}),
	...bits(6, 0, "eax", { arat: 2 }),
	...bits(7, 0, "ebx", {
		fsgsbase: 0,
		"tsc-adjust": 1,
		bmi1: 3,
		avx2: 5,
		smep: 7,
		bmi2: 8,
		erms: 9,
		invpcid: 10,
		rdseed: 18,
		adx: 19,
		smap: 20,
		clflushopt: 23,
		clwb: 24,
		"sha-ni": 29,
	}),
	...bits(7, 0, "ecx", { umip: 2, pku: 3, vaes: 9, vpclmulqdq: 10, la57: 16, rdpid: 22, pks: 31 }),
	...bits(7, 0, "edx", { fsrm: 4, "spec-ctrl": 26, stibp: 27, "arch-capabilities": 29, ssbd: 31 }),
	...bits(0xd, 1, "eax", { xsaveopt: 0, xsavec: 1, xgetbv1: 2, xsaves: 3 }),
	...bits(0x80000001, 0, "edx", { syscall: 11, nx: 20, pdpe1gb: 26, rdtscp: 27, lm: 29 }),
	...bits(0x80000001, 0, "ecx", { "lahf-lm": 0, abm: 5, "3dnowprefetch": 8 }),
	...bits(0x80000007, 0, "edx", { invtsc: 8 }),
	...bits(0x80000008, 0, "ebx", { wbnoinvd: 9 }),
} as const satisfies Record<string, FeatureBit>;

export type Feature = keyof typeof FEATURES;

/** Known by name only. Who implements one takes it out here. */
const UNIMPLEMENTED: ReadonlySet<Feature> = new Set(["ss", "monitor", "wbnoinvd"] satisfies Feature[]);

/** What the processor has: no model shows anything else, and nobody can ask for it. */
export const IMPLEMENTED: ReadonlySet<Feature> = new Set(
	(Object.keys(FEATURES) as Feature[]).filter((feature) => !UNIMPLEMENTED.has(feature)),
);

/** What a feature makes no sense without: where those are switched off, it goes too. */
export const REQUIRED: Readonly<Partial<Record<Feature, readonly Feature[]>>> = {
	mmx: ["fpu"],
	fxsr: ["fpu"],
	sse: ["fxsr"],
	sse2: ["sse"],
	pni: ["sse2"],
	ssse3: ["pni"],
	"sse4.1": ["ssse3"],
	"sse4.2": ["sse4.1"],
	aes: ["sse2"],
	pclmulqdq: ["sse2"],
	"sha-ni": ["sse2"],
	xsave: ["fxsr"],
	xsaveopt: ["xsave"],
	xsavec: ["xsave"],
	xgetbv1: ["xsave"],
	xsaves: ["xsave", "xsavec"],
	avx: ["xsave", "sse4.2"],
	avx2: ["avx"],
	fma: ["avx"],
	f16c: ["avx"],
	vaes: ["avx", "aes"],
	vpclmulqdq: ["avx", "pclmulqdq"],
	pse36: ["pse"],
	nx: ["pae"],
	lm: ["pae"],
	syscall: ["lm"],
	"lahf-lm": ["lm"],
	cx16: ["lm"],
	pdpe1gb: ["lm"],
	la57: ["lm"],
	pcid: ["lm"],
	pku: ["lm"],
	pks: ["lm"],
	x2apic: ["apic"],
	arat: ["apic"],
	"tsc-deadline": ["apic", "tsc"],
	"tsc-adjust": ["tsc"],
	invtsc: ["tsc"],
	rdtscp: ["tsc"],
};
