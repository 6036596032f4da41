import type { Vcpu } from "../../kvm/vcpu.ts";

const CR0_PG = 1n << 31n;
const CR4_PSE = 1n << 4n;
const CR4_PAE = 1n << 5n;
const CR4_LA57 = 1n << 12n;
const EFER_LMA = 1n << 10n;
const ADDRESS = 0x000f_ffff_ffff_f000n;

/** Bits of page-table entries by letter (SDM 3A tables 4-5, 4-14 to 4-20). */
const LETTERS: readonly (readonly [letter: string, bit: bigint])[] = [
	["X", 63n],
	["G", 8n],
	["S", 7n],
	["D", 6n],
	["A", 5n],
	["C", 4n],
	["T", 3n],
	["U", 2n],
	["W", 1n],
	["P", 0n],
];

/** One entry on the way from CR3 to a page. */
export interface WalkStep {
	/** Name of the entry, such as `PDE`. */
	readonly name: string;
	/** Guest-physical address of the entry; undefined: it has none (a PDPTE register). */
	readonly at: bigint;
	readonly entry: bigint;
}

export interface Walk {
	readonly steps: readonly WalkStep[];
	/** Guest-physical address; undefined: not mapped. */
	readonly physical: bigint | undefined;
	/** Bytes of the page. */
	readonly pageSize: bigint;
	/** Every entry on the way allows it. */
	readonly writable: boolean;
	readonly user: boolean;
}

export type PhysicalReader = (address: bigint, length: number) => Uint8Array | undefined;

interface Level {
	readonly name: string;
	readonly shift: bigint;
	/** Bits of the address that choose the entry. */
	readonly bits: bigint;
	/** Whether bit 7 makes it a page. */
	readonly large: boolean;
}

interface Paging {
	readonly root: bigint;
	readonly levels: readonly Level[];
	readonly entryBytes: 4 | 8;
}

const PAE_LEVELS: readonly Level[] = [
	{ name: "PML5E", shift: 48n, bits: 9n, large: false },
	{ name: "PML4E", shift: 39n, bits: 9n, large: false },
	{ name: "PDPTE", shift: 30n, bits: 9n, large: true },
	{ name: "PDE", shift: 21n, bits: 9n, large: true },
	{ name: "PTE", shift: 12n, bits: 9n, large: false },
];

/** The paging in force; undefined: none. */
function pagingOf(vcpu: Vcpu): Paging | undefined {
	const { cr0, cr3, cr4, efer } = vcpu.getSregs();
	if ((cr0 & CR0_PG) === 0n) return undefined;
	if ((efer & EFER_LMA) !== 0n)
		return { root: cr3 & ADDRESS, levels: PAE_LEVELS.slice((cr4 & CR4_LA57) === 0n ? 1 : 0), entryBytes: 8 };
	if ((cr4 & CR4_PAE) !== 0n) {
		const pointers = { name: "PDPTE", shift: 30n, bits: 2n, large: false };
		return { root: cr3 & 0xffff_ffe0n, levels: [pointers, ...PAE_LEVELS.slice(3)], entryBytes: 8 };
	}
	const directory = { name: "PDE", shift: 22n, bits: 10n, large: (cr4 & CR4_PSE) !== 0n };
	const levels = [directory, { name: "PTE", shift: 12n, bits: 10n, large: false }];
	return { root: cr3 & 0xffff_f000n, levels, entryBytes: 4 };
}

function entryAt(read: PhysicalReader, at: bigint, bytes: 4 | 8): bigint | undefined {
	const found = read(at, bytes);
	if (found === undefined) return undefined;
	const view = new DataView(found.buffer, found.byteOffset);
	return bytes === 8 ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true));
}

/** Where a page that `entry` maps lies: bits 20:13 of a 4 MiB page's entry are address bits 39:32. */
function frameOf(entry: bigint, { shift }: Level, bytes: 4 | 8): bigint {
	const low = (1n << shift) - 1n;
	if (bytes === 8) return entry & ADDRESS & ~low;
	const high = shift === 22n ? ((entry >> 13n) & 0xffn) << 32n : 0n;
	return high | (entry & 0xffff_f000n & ~low);
}

/** The walk of a linear address through the page tables as they are in memory, whatever the TLBs hold. Nothing changes. */
export function walkPages(vcpu: Vcpu, read: PhysicalReader, linear: bigint): Walk {
	const paging = pagingOf(vcpu);
	if (paging === undefined)
		return { steps: [], physical: linear & 0xffff_ffffn, pageSize: 4096n, writable: true, user: true };
	const steps: WalkStep[] = [];
	let table = paging.root;
	let [writable, user] = [true, true];
	for (const level of paging.levels) {
		const index = (linear >> level.shift) & ((1n << level.bits) - 1n);
		const at = table + index * BigInt(paging.entryBytes);
		const entry = entryAt(read, at, paging.entryBytes) ?? 0n;
		steps.push({ name: level.name, at, entry });
		const none = { steps, physical: undefined, pageSize: 1n << level.shift, writable: false, user: false };
		if ((entry & 1n) === 0n) return none;
		// The four entries that CR3 points at with PAE paging have no such bits.
		if (level.bits !== 2n) {
			writable &&= (entry & 2n) !== 0n;
			user &&= (entry & 4n) !== 0n;
		}
		if (level.shift === 12n || (level.large && (entry & 0x80n) !== 0n)) {
			const offset = linear & ((1n << level.shift) - 1n);
			const physical = frameOf(entry, level, paging.entryBytes) + offset;
			return { steps, physical, pageSize: 1n << level.shift, writable, user };
		}
		table = paging.entryBytes === 8 ? entry & ADDRESS : entry & 0xffff_f000n;
	}
	return { steps, physical: undefined, pageSize: 4096n, writable: false, user: false };
}

/** The flags of an entry as letters, `-` where one is clear. */
export function entryFlags(entry: bigint): string {
	return LETTERS.map(([letter, bit]) => (((entry >> bit) & 1n) === 1n ? letter : "-")).join("");
}

/** A linear range that is mapped with the same rights throughout. */
export interface MappedRange {
	readonly first: bigint;
	/** Behind the last byte. */
	readonly end: bigint;
	readonly writable: boolean;
	readonly user: boolean;
}

/** What is mapped, in order; at most `most` ranges. Without paging there is none. */
export function mappedRanges(vcpu: Vcpu, read: PhysicalReader, most: number): readonly MappedRange[] {
	const paging = pagingOf(vcpu);
	const ranges: MappedRange[] = [];
	if (paging === undefined) return ranges;
	const add = (first: bigint, size: bigint, writable: boolean, user: boolean): void => {
		const last = ranges.at(-1);
		if (last !== undefined && last.end === first && last.writable === writable && last.user === user)
			ranges[ranges.length - 1] = { ...last, end: first + size };
		else ranges.push({ first, end: first + size, writable, user });
	};
	const descend = (depth: number, table: bigint, base: bigint, writable: boolean, user: boolean): void => {
		const level = paging.levels[depth]!;
		const count = 1 << Number(level.bits);
		const bytes = read(table, count * paging.entryBytes);
		if (bytes === undefined) return;
		const view = new DataView(bytes.buffer, bytes.byteOffset);
		for (let n = 0; n < count && ranges.length < most; n++) {
			const entry = paging.entryBytes === 8 ? view.getBigUint64(n * 8, true) : BigInt(view.getUint32(n * 4, true));
			if ((entry & 1n) === 0n) continue;
			const rights = level.bits === 2n ? 7n : entry;
			const [mayWrite, mayUse] = [writable && (rights & 2n) !== 0n, user && (rights & 4n) !== 0n];
			const from = base + (BigInt(n) << level.shift);
			if (level.shift === 12n || (level.large && (entry & 0x80n) !== 0n))
				add(from, 1n << level.shift, mayWrite, mayUse);
			else descend(depth + 1, paging.entryBytes === 8 ? entry & ADDRESS : entry & 0xffff_f000n, from, mayWrite, mayUse);
		}
	};
	descend(0, paging.root, 0n, true, true);
	const width = paging.levels[0]!.shift + paging.levels[0]!.bits;
	const canonical = (address: bigint): bigint => BigInt.asUintN(64, BigInt.asIntN(Number(width), address));
	if (width < 48n) return ranges;
	return ranges.map((range) => ({ ...range, first: canonical(range.first), end: canonical(range.end - 1n) + 1n }));
}
