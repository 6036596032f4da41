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

/** EDX of leaf 1 by bit mask (SDM 2A, table 3-11), as far as the processor has it. */
export const CPUID_FEATURE = {
	vme: 0x2,
	de: 0x4,
	pse: 0x8,
	tsc: 0x10,
	msr: 0x20,
	pae: 0x40,
	mce: 0x80,
	cx8: 0x100,
	apic: 0x200,
	sep: 0x800,
	mtrr: 0x1000,
	pge: 0x2000,
	mca: 0x4000,
	cmov: 0x8000,
	pat: 0x10000,
	pse36: 0x20000,
} as const;

/** EDX of leaf 0x80000001. */
export const CPUID_EXTENDED_FEATURE = { nx: 0x100000 } as const;

const VENDOR = "GenuineIntel";
const BRAND = "tsvmm";
/** Family 6, model 8, stepping 6: a Pentium III. */
const SIGNATURE = 0x686;

/** Four characters as a little-endian word; behind the end of the text there are zeros. */
function word(text: string, at: number): number {
	return [0, 1, 2, 3].reduce((value, n) => (value | ((text.charCodeAt(at + n) || 0) << (8 * n))) >>> 0, 0);
}

/**
 * The processor's CPUID leaves: a Pentium III without FPU, MMX, FXSAVE and SSE, but with execute-disable.
 * @param apicId number of its local APIC, 8 bits.
 * @param nx whether page-table entries have the execute-disable bit.
 */
export function defaultCpuid({ apicId = 0, nx = true } = {}): CpuidEntry[] {
	const leaf = (number: number, eax: number, ebx: number, ecx: number, edx: number): CpuidEntry => ({
		function: number,
		index: 0,
		flags: 0,
		eax,
		ebx,
		ecx,
		edx,
	});
	const features = Object.values(CPUID_FEATURE).reduce((all, bit) => all | bit, 0);
	const extended = nx ? CPUID_EXTENDED_FEATURE.nx : 0;
	const brand = (part: number): CpuidEntry => {
		const at = part * 16;
		return leaf(0x80000002 + part, word(BRAND, at), word(BRAND, at + 4), word(BRAND, at + 8), word(BRAND, at + 12));
	};
	return [
		leaf(0, 2, word(VENDOR, 0), word(VENDOR, 8), word(VENDOR, 4)),
		leaf(1, SIGNATURE, (apicId << 24) >>> 0, 0, features),
		// Caches and TLBs by descriptor (SDM 2A, table 3-12): 256 KiB L2, 16 KiB L1 for code and for data.
		leaf(2, 0x03020101, 0, 0, 0x0c040882),
		leaf(0x80000000, 0x80000004, 0, 0, 0),
		leaf(0x80000001, 0, 0, 0, extended),
		brand(0),
		brand(1),
		brand(2),
	];
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
