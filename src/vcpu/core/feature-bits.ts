import type { Feature } from "../../isa/features.ts";
import type { Ex } from "../../wasm/expression.ts";
import { F } from "../layout.ts";
import { CR4, EFER, XCR0 } from "./control-bits.ts";

/** The feature that each bit of CR4 belongs to. */
const CR4_FEATURE: Readonly<Record<Exclude<keyof typeof CR4, "pce">, Feature>> = {
	vme: "vme",
	pvi: "vme",
	tsd: "tsc",
	de: "de",
	pse: "pse",
	pae: "pae",
	mce: "mce",
	pge: "pge",
	osfxsr: "fxsr",
	osxmmexcpt: "sse",
	umip: "umip",
	la57: "la57",
	fsgsbase: "fsgsbase",
	pcide: "pcid",
	osxsave: "xsave",
	smep: "smep",
	smap: "smap",
	pke: "pku",
	pks: "pks",
};

const EFER_FEATURE: Readonly<Record<Exclude<keyof typeof EFER, "lma">, Feature>> = {
	sce: "syscall",
	lme: "lm",
	nxe: "nx",
};

const XCR0_FEATURE: Readonly<Record<keyof typeof XCR0, Feature>> = {
	x87: "xsave",
	sse: "xsave",
	avx: "avx",
	pkru: "pku",
};

/** Features that functions of the core ask for by {@link hasFeature}. */
const CORE_FEATURES = [
	"lm",
	"la57",
	"pdpe1gb",
	"pks",
	"rdtscp",
	"rdpid",
	"xsavec",
	"xsaves",
	"xgetbv1",
	"tsc-adjust",
	"spec-ctrl",
	"stibp",
	"ssbd",
	"arch-capabilities",
	"x2apic",
] as const satisfies readonly Feature[];
/** {@link F.features} has a bit for each, in this order; `amd`: the processor is AMD's, by CPUID's leaf 0. */
const CORE_BITS = [...CORE_FEATURES, "amd"] as const;
export type CoreFeature = (typeof CORE_BITS)[number];

/** Which control bits exist with these features; each for the field of the state of the same name. */
export function controlBits(
	features: ReadonlySet<Feature>,
	amd: boolean,
): Record<"cr4Bits" | "eferBits" | "xcr0Bits" | "features", bigint> {
	const of = <N extends string>(bits: Readonly<Record<N, number>>, names: Readonly<Record<N, Feature>>): bigint =>
		(Object.keys(names) as N[]).reduce((all, name) => all | (features.has(names[name]) ? BigInt(bits[name]) : 0n), 0n);
	return {
		cr4Bits: of(CR4, CR4_FEATURE) | BigInt(CR4.pce),
		eferBits: of(EFER, EFER_FEATURE),
		xcr0Bits: of(XCR0, XCR0_FEATURE),
		features: CORE_BITS.reduce(
			(all, name, n) => all | ((name === "amd" ? amd : features.has(name)) ? 1n << BigInt(n) : 0n),
			0n,
		),
	};
}

/** 1 where the processor has the feature. */
export function hasFeature(st: Ex, feature: CoreFeature): Ex {
	return F.features
		.of(st)
		.shrU(BigInt(CORE_BITS.indexOf(feature)))
		.wrap()
		.and(1);
}
