import { UserError } from "../base/errors.ts";
import { FEATURES, type Feature, IMPLEMENTED, REQUIRED } from "../isa/features.ts";
import { type CpuidEntry, cpuidEntries, type Identity, VENDORS, type Vendor } from "./cpuid.ts";

/** A processor as `--cpu` names it: a model, and features on (true) or off on top of it. */
export interface CpuChoice {
	readonly model: string;
	/** Who made it, as CPUID has it; absent: GenuineIntel. */
	readonly vendor?: string;
	readonly features: readonly { readonly name: string; readonly on: boolean }[];
}

interface Model extends Omit<Identity, "vendor"> {
	/** What it has, as far as it is implemented. */
	readonly features: readonly Feature[];
}

const PENTIUM3: readonly Feature[] = [
	...([
		"fpu",
		"vme",
		"de",
		"pse",
		"tsc",
		"msr",
		"pae",
		"mce",
		"cx8",
		"apic",
		"sep",
		"mtrr",
		"pge",
		"mca",
		"cmov",
	] as const),
	...(["pat", "pse36", "mmx", "fxsr", "sse"] as const),
];

/** Everything that an operating system on a virtual machine of the last twenty years takes for granted. */
const BASE: readonly Feature[] = [...PENTIUM3, "clflush", "sse2", "pni", "hypervisor"];
const BASE64: readonly Feature[] = [
	...BASE,
	"lm",
	"syscall",
	"nx",
	"cx16",
	"lahf-lm",
	"x2apic",
	"tsc-deadline",
	"arat",
];
const V2: readonly Feature[] = [...BASE64, "ssse3", "sse4.1", "sse4.2", "popcnt"];
const V3: readonly Feature[] = [
	...V2,
	...(["xsave", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"] as const),
];

/** Signatures: family, model, stepping as CPUID leaf 1 has them. */
const [MENDOCINO, COPPERMINE, NEHALEM, HASWELL, SKYLAKE] = [0x663, 0x686, 0x106a3, 0x306c4, 0x506e3];

/** What every model is as a processor of AMD's: family 15, model 107, stepping 1. */
const ATHLON64 = 0x60fb1;

const MODELS: Readonly<Record<string, Model>> = {
	max: { level: 0x16, signature: SKYLAKE, brand: "tsvmm max", features: Object.keys(FEATURES) as Feature[] },
	qemu64: { level: 0xd, signature: NEHALEM, brand: "tsvmm qemu64", features: BASE64 },
	"x86-64-v2": { level: 0xd, signature: NEHALEM, brand: "tsvmm x86-64-v2", features: V2 },
	"x86-64-v3": { level: 0xd, signature: HASWELL, brand: "tsvmm x86-64-v3", features: V3 },
	qemu32: { level: 4, signature: MENDOCINO, brand: "tsvmm qemu32", features: BASE },
	pentium3: { level: 2, signature: COPPERMINE, brand: "tsvmm pentium3", features: PENTIUM3 },
};

/** Names that `--cpu` takes. */
export const MODEL_NAMES: readonly string[] = Object.keys(MODELS);

/** Other spellings of features that people and QEMU use; `_` counts as `-`. */
const ALIASES: Readonly<Record<string, Feature>> = {
	sse3: "pni",
	"sse4-1": "sse4.1",
	"sse4-2": "sse4.2",
	lzcnt: "abm",
	sha: "sha-ni",
	xd: "nx",
	pclmuldq: "pclmulqdq",
	i64: "lm",
};

function featureOf(name: string): Feature {
	const plain = name.toLowerCase().replaceAll("_", "-");
	const found = plain in FEATURES ? (plain as Feature) : ALIASES[plain];
	if (found === undefined) throw new UserError(`--cpu: there is no processor feature "${name}"`);
	return found;
}

/**
 * The features of a processor: the model's, those asked for, none of those switched off, and nothing that needs one that is off.
 * @throws UserError naming the model or feature: unknown, not implemented, or without one that it needs.
 */
export function featuresOfChoice({ model: name, features: changes }: CpuChoice): ReadonlySet<Feature> {
	const model = MODELS[name];
	if (model === undefined)
		throw new UserError(`--cpu: there is no model "${name}"; there are ${MODEL_NAMES.join(", ")}`);
	const features = new Set(model.features.filter((feature) => IMPLEMENTED.has(feature)));
	const wanted = new Map<Feature, string>();
	for (const change of changes) {
		const feature = featureOf(change.name);
		if (change.on) {
			if (!IMPLEMENTED.has(feature)) throw new UserError(`--cpu: the feature "${change.name}" is not implemented`);
			features.add(feature);
			wanted.set(feature, change.name);
		} else {
			features.delete(feature);
			wanted.delete(feature);
		}
	}
	for (let before = -1; before !== features.size; ) {
		before = features.size;
		for (const feature of features) {
			const missing = REQUIRED[feature]?.find((needed) => !features.has(needed));
			if (missing === undefined) continue;
			const asked = wanted.get(feature);
			if (asked !== undefined) throw new UserError(`--cpu: the feature "${asked}" needs "${missing}"`);
			features.delete(feature);
		}
	}
	return features;
}

/** @throws UserError where nobody of that name makes processors here. */
function vendorOfChoice({ vendor = "GenuineIntel" }: CpuChoice): Vendor {
	const found = VENDORS.find((name) => name === vendor);
	if (found === undefined)
		throw new UserError(`--cpu: there is no processor vendor "${vendor}"; there are ${VENDORS.join(", ")}`);
	return found;
}

/** What CPUID answers on the first processor of a choice; errors as {@link featuresOfChoice}. */
export function cpuidOf(choice: CpuChoice, options: { apicId?: number; physicalBits?: number } = {}): CpuidEntry[] {
	const features = featuresOfChoice(choice);
	const vendor = vendorOfChoice(choice);
	const model = MODELS[choice.model] as Model;
	const signature = vendor === "AuthenticAMD" ? ATHLON64 : model.signature;
	return cpuidEntries({ ...model, vendor, signature }, features, options);
}

/** The processor where nobody chooses: everything there is. */
export const DEFAULT_CPU: CpuChoice = { model: "max", features: [] };
