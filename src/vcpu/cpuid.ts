import { type CpuidRegister, FEATURES, type Feature, IMPLEMENTED } from "../isa/features.ts";

/** One answer of CPUID, as in KVM's struct kvm_cpuid_entry2. All values are 32 bits wide, unsigned. */
export interface CpuidEntry {
	readonly function: number;
	/** Counts only with {@link CPUID_SIGNIFICANT_INDEX} in `flags`. */
	readonly index: number;
	readonly flags: number;
	readonly eax: number;
	readonly ebx: number;
	readonly ecx: number;
	readonly edx: number;
}

/** KVM_CPUID_FLAG_SIGNIFCANT_INDEX: ECX selects among entries of one function. */
export const CPUID_SIGNIFICANT_INDEX = 1;

/** Byte offsets in an entry as the processor reads it. */
export const CPUID_ENTRY = { function: 0, index: 4, flags: 8, eax: 12, ebx: 16, ecx: 20, edx: 24 } as const;
export const CPUID_ENTRY_SIZE = 32;

/** EDX of leaf 1: the local APIC, which shows only while it is enabled. */
export const CPUID_APIC = 1 << FEATURES.apic.bit;
/** ECX of leaf 1: CR4.OSXSAVE. ECX of leaf 7: CR4.PKE. */
export const CPUID_OSXSAVE = 1 << 27;
export const CPUID_OSPKE = 1 << 4;

/** State components of XSAVE (SDM 1 13.1) that exist here, with the feature that brings each, its size and its place. */
export const XSAVE_COMPONENTS = [
	{ bit: 0, feature: "xsave", size: 160, offset: 0 },
	{ bit: 1, feature: "xsave", size: 256, offset: 160 },
	{ bit: 2, feature: "avx", size: 256, offset: 576 },
	{ bit: 9, feature: "pku", size: 8, offset: 2688 },
] as const satisfies readonly { bit: number; feature: Feature; size: number; offset: number }[];
/** Bytes of the legacy region and the header, which come before what has places of its own. */
export const XSAVE_HEADER_END = 576;

/** Makers of processors, as leaf 0 has them: they differ in fast system calls. */
export const VENDORS = ["GenuineIntel", "AuthenticAMD"] as const;
export type Vendor = (typeof VENDORS)[number];

/** Who a processor says it is. */
export interface Identity {
	readonly vendor: Vendor;
	/** Last basic leaf. */
	readonly level: number;
	/** EAX of leaf 1. */
	readonly signature: number;
	/** At most 47 characters. */
	readonly brand: string;
}

/** What a guest finds at 0x40000000. */
const HYPERVISOR = "tsvmmtsvmm";
/** The time-stamp counter, the crystal behind it and the local APIC's timer: one tick is a nanosecond. */
const HERTZ = 1_000_000_000;
const LEGACY_LEVEL = 4;
/** EDX of leaf 0x80000001 on AMD's processors: the bits that are those of leaf 1. */
const AMD_REPEATS = 0x0183f3ff;

/** Four characters as a little-endian word; behind the end of the text there are zeros. */
function word(text: string, at: number): number {
	return [0, 1, 2, 3].reduce((value, n) => (value | ((text.charCodeAt(at + n) || 0) << (8 * n))) >>> 0, 0);
}

type Answer = readonly [eax: number, ebx: number, ecx: number, edx: number];

/**
 * The CPUID leaves of a processor.
 * @param apicId number of its local APIC, 8 bits.
 * @param physicalBits width of physical addresses.
 */
export function cpuidEntries(
	{ vendor, level, signature, brand }: Identity,
	features: ReadonlySet<Feature>,
	{ apicId = 0, physicalBits = 40 } = {},
): CpuidEntry[] {
	const bits = (leaf: number, register: CpuidRegister, index = 0): number => {
		let value = 0;
		for (const feature of features) {
			const place = FEATURES[feature];
			if (place.leaf === leaf && place.index === index && place.register === register) value |= 1 << place.bit;
		}
		return value >>> 0;
	};
	const entries: CpuidEntry[] = [];
	const leaf = (number: number, answer: Answer, index?: number): void => {
		const [eax, ebx, ecx, edx] = answer;
		const flags = index === undefined ? 0 : CPUID_SIGNIFICANT_INDEX;
		entries.push({ function: number, index: index ?? 0, flags, eax, ebx, ecx, edx });
	};
	const basic = (number: number, answer: Answer, index?: number): void => {
		if (number <= level) leaf(number, answer, index);
	};

	const [ebx, edx, ecx] = [word(vendor, 0), word(vendor, 4), word(vendor, 8)];
	basic(0, [level, ebx, ecx, edx]);
	const flushLine = features.has("clflush") ? 0x800 : 0;
	const processors = level >= LEGACY_LEVEL ? 0x10000 : 0;
	basic(1, [signature, ((apicId << 24) | processors | flushLine) >>> 0, bits(1, "ecx"), bits(1, "edx")]);
	// Caches and TLBs by descriptor (SDM 2A, table 3-12): as leaf 4 says, or 256 KiB L2, 16 KiB L1 for code and for data.
	// AMD's processors have leaves 0x80000005 and 0x80000006 instead.
	const amd = vendor === "AuthenticAMD";
	if (amd) for (const empty of [2, 4]) basic(empty, NOTHING);
	else basic(2, level >= LEGACY_LEVEL ? [0x00ff0301, 0, 0, 0xf0] : [0x03020101, 0, 0, 0x0c040882]);
	basic(3, NOTHING);
	if (!amd) {
		basic(4, cache(1, 1, 8, 64), 0);
		basic(4, cache(2, 1, 8, 64), 1);
		basic(4, cache(3, 2, 16, 4096), 2);
		basic(4, NOTHING, 3);
	}
	basic(5, NOTHING);
	basic(6, [bits(6, "eax"), 0, 0, 0]);
	basic(7, [0, bits(7, "ebx"), bits(7, "ecx"), bits(7, "edx")], 0);
	// One processor per core, one core per package: shifts of 0.
	basic(0xb, [0, 1, 0x100, apicId], 0);
	basic(0xb, [0, 1, 0x201, apicId], 1);
	basic(0xb, [0, 0, 2, apicId], 2);
	if (features.has("xsave")) {
		const components = XSAVE_COMPONENTS.filter(({ feature }) => features.has(feature));
		const end = Math.max(XSAVE_HEADER_END, ...components.map(({ offset, size }) => offset + size));
		const mask = components.reduce((all, { bit }) => all | (1 << bit), 0);
		// EBX follows XCR0: the processor fills it in.
		basic(0xd, [mask, XSAVE_HEADER_END, end, 0], 0);
		basic(0xd, [bits(0xd, "eax", 1), XSAVE_HEADER_END, 0, 0], 1);
		for (const { bit, size, offset } of components) if (bit >= 2) basic(0xd, [size, offset, 0, 0], bit);
	} else basic(0xd, NOTHING);
	basic(0x15, [1, 1, HERTZ, 0]);
	basic(0x16, [HERTZ / 1e6, HERTZ / 1e6, HERTZ / 1e6, 0]);
	if (features.has("hypervisor"))
		leaf(0x40000000, [0x40000000, word(HYPERVISOR, 0), word(HYPERVISOR, 4), word(HYPERVISOR, 8)]);

	const extended = level > LEGACY_LEVEL;
	const lastExtended = extended ? 0x80000008 : 0x80000004;
	leaf(0x80000000, amd ? [lastExtended, ebx, ecx, edx] : [lastExtended, 0, 0, 0]);
	const repeated = amd ? bits(1, "edx") & AMD_REPEATS : 0;
	leaf(0x80000001, [0, 0, bits(0x80000001, "ecx"), bits(0x80000001, "edx") | repeated]);
	for (let part = 0; part < 3; part++) {
		const at = part * 16;
		leaf(0x80000002 + part, [word(brand, at), word(brand, at + 4), word(brand, at + 8), word(brand, at + 12)]);
	}
	if (extended) {
		// L1: 32 KiB each, 8-way, lines of 64 bytes.
		leaf(0x80000005, amd ? [0, 0, 0x20080140, 0x20080140] : NOTHING);
		// L2: 4 MiB, 16-way, lines of 64 bytes.
		leaf(0x80000006, [0, 0, 0x10008040, 0]);
		leaf(0x80000007, [0, 0, 0, bits(0x80000007, "edx")]);
		const linearBits = features.has("la57") ? 57 : 48;
		leaf(0x80000008, [physicalBits | (linearBits << 8), bits(0x80000008, "ebx"), 0, 0]);
	}
	return entries;
}

const NOTHING: Answer = [0, 0, 0, 0];

/** Leaf 4: a cache with lines of 64 bytes, of this processor alone. `type`: 1 data, 2 code, 3 both. */
function cache(type: number, cacheLevel: number, ways: number, sets: number): Answer {
	return [type | (cacheLevel << 5) | 0x100, (((ways - 1) << 22) | 63) >>> 0, sets - 1, 1];
}

/** The answer for a leaf; of several sub-leaves, that of `index`. */
export function findCpuid(entries: readonly CpuidEntry[], leaf: number, index = 0): CpuidEntry | undefined {
	return entries.find(
		(entry) => entry.function === leaf && ((entry.flags & CPUID_SIGNIFICANT_INDEX) === 0 || entry.index === index),
	);
}

/** Whether entries show a processor of AMD's. */
export function isAmd(entries: readonly CpuidEntry[]): boolean {
	const { ebx, ecx, edx } = findCpuid(entries, 0) ?? {};
	const amd = "AuthenticAMD";
	return ebx === word(amd, 0) && edx === word(amd, 4) && ecx === word(amd, 8);
}

/** The features that entries show. Without a leaf 1 nobody has said anything: all there are, as KVM lets a guest use the host's. */
export function featuresIn(entries: readonly CpuidEntry[]): ReadonlySet<Feature> {
	if (findCpuid(entries, 1) === undefined) return IMPLEMENTED;
	const shown = (Object.keys(FEATURES) as Feature[]).filter((name) => {
		const { leaf, index, register, bit } = FEATURES[name];
		return (((findCpuid(entries, leaf, index)?.[register] ?? 0) >>> bit) & 1) !== 0;
	});
	return new Set(shown.filter((name) => IMPLEMENTED.has(name)));
}

/** Entries in the form that the processor reads. */
export function encodeCpuid(entries: readonly CpuidEntry[]): Uint8Array {
	const bytes = new Uint8Array(entries.length * CPUID_ENTRY_SIZE);
	const view = new DataView(bytes.buffer);
	entries.forEach((entry, n) => {
		for (const [name, offset] of Object.entries(CPUID_ENTRY)) {
			view.setUint32(n * CPUID_ENTRY_SIZE + offset, entry[name as keyof CpuidEntry], true);
		}
	});
	return bytes;
}
