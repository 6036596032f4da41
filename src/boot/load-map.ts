import { assert, UserError } from "../base/errors.ts";

/** Guest-physical addresses and sizes are below 2^53. */
export interface MemoryRange {
	readonly first: number;
	/** Bytes. */
	readonly size: number;
}

/** Types of memory in the e820 map (ACPI 6.5, 15). */
export const MEMORY_TYPE = { ram: 1, reserved: 2 } as const;

/** A piece of the memory map that a kernel is told. */
export interface MapEntry extends MemoryRange {
	readonly type: number;
}

/** Bytes at a guest-physical address. */
export interface Piece {
	readonly address: number;
	readonly bytes: Uint8Array;
}

/** Where {@link LoadMap.allocate} looks for room. */
export interface Wish {
	/** A power of two; default 16. */
	readonly align?: number;
	/** The last byte lies below this address; default: 4 GiB. */
	readonly below?: number;
	/** The highest place instead of the lowest one. */
	readonly high?: boolean;
}

/** The interrupt vectors and the BIOS data area: nothing is put there unless the image says so. */
const LOW_END = 0x1000;
const FOUR_GIB = 2 ** 32;
const KIB = 1024;

/** What is put where in a guest's RAM before it starts: nothing twice, nothing beside RAM. */
export class LoadMap {
	readonly pieces: Piece[] = [];
	private readonly ram: readonly MemoryRange[];
	private readonly taken: (MemoryRange & { readonly what: string })[] = [];

	/** `map`: disjoint ranges. */
	constructor(map: readonly MapEntry[]) {
		this.ram = map.filter(({ type }) => type === MEMORY_TYPE.ram);
	}

	/**
	 * Keeps `size` bytes at an address that the image asks for. `what` begins the message: `--kernel: vmlinux: segment 2`.
	 * @throws UserError where that is not RAM, or is taken.
	 */
	claim(what: string, address: number, size: number): void {
		if (size === 0) return;
		if (!this.ram.some((range) => address >= range.first && address + size <= range.first + range.size)) {
			const most = this.ram.map((range) => place(range.first, range.size)).join(", ");
			throw new UserError(
				`${what} needs memory at ${place(address, size)}, but RAM is at ${most}: --memory says how much`,
			);
		}
		const other = this.taken.find((range) => overlap(range, { first: address, size }));
		if (other !== undefined) {
			throw new UserError(
				`${what} at ${place(address, size)} overlaps ${other.what} at ${place(other.first, other.size)}`,
			);
		}
		this.taken.push({ first: address, size, what });
	}

	/** {@link claim} for bytes; those up to `size` stay zero. */
	put(what: string, address: number, bytes: Uint8Array, size: number = bytes.length): void {
		this.claim(what, address, size);
		this.pieces.push({ address, bytes });
	}

	/** Whether `size` bytes at an address are RAM that nobody has claimed. */
	isFree(address: number, size: number): boolean {
		const range = { first: address, size };
		return (
			this.ram.some(({ first, size: all }) => address >= first && address + size <= first + all) &&
			!this.taken.some((other) => overlap(other, range))
		);
	}

	/**
	 * Finds room for bytes; the pieces of `bytes` may still be filled in later.
	 * @returns their address. @throws UserError where there is none.
	 */
	allocate(what: string, bytes: Uint8Array, wish: Wish = {}): number {
		const address = this.find(bytes.length, wish);
		if (address === undefined) {
			const limit = wish.below === undefined ? "" : ` below 0x${wish.below.toString(16)}`;
			throw new UserError(
				`${what}: no room for ${Math.ceil(bytes.length / KIB)} KiB in the guest's memory${limit} beside what is loaded already; --memory gives it more`,
			);
		}
		this.put(what, address, bytes);
		return address;
	}

	private find(size: number, { align = 16, below = FOUR_GIB, high = false }: Wish): number | undefined {
		assert(size > 0 && (align & (align - 1)) === 0, `room for ${size} bytes at multiples of ${align}`);
		const down = (address: number): number => Math.floor(address / align) * align;
		const up = (address: number): number => Math.ceil(address / align) * align;
		// The best place touches either an end of RAM or something that is there already.
		const ends = [...this.ram, ...this.taken];
		const candidates = ends
			.flatMap(({ first, size: length }) =>
				high
					? [down(Math.min(first + length, below) - size), down(first - size)]
					: [up(first), up(first + length), up(LOW_END)],
			)
			.filter((address) => address >= LOW_END && address + size <= below && this.isFree(address, size))
			.sort((a, b) => a - b);
		return high ? candidates.at(-1) : candidates[0];
	}
}

function overlap(a: MemoryRange, b: MemoryRange): boolean {
	return a.first < b.first + b.size && b.first < a.first + a.size;
}

/** `0x100000..0x1fffff`, for people. */
function place(first: number, size: number): string {
	return `0x${first.toString(16)}..0x${(first + size - 1).toString(16)}`;
}
