import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { loadSymbols } from "./load-symbols.ts";
import { SymbolImage } from "./symbol-image.ts";
import type { MemoryReader } from "./symbols.ts";

/** Names that SeaBIOS's linker scripts make: where all of its code begins, and the part that moves to high memory. */
const NAMES = ["code32flat_start", "code32init_start", "code32init_end"] as const;
/** What the same build leaves beside `rom.o`, with offsets in the segment F000: its 16-bit code, and 32-bit code in a segment. */
const SEGMENTED = ["rom16.o", "rom32seg.o"] as const;
const SEGMENT = 0xf_0000n;
/** The ROM below 4 GiB, whose end is also what lies below 1 MiB. */
const HIGH_ROM = 0xfff0_0000n;
const MEGABYTE = 0x10_0000n;
/** Bytes compared at a time, so few that relocations leave most pieces as they were; how far around an address; how many agree. */
const PIECE = 12;
const AROUND = 96;
const AGREEING = 3;

/** A build of SeaBIOS: code for three kinds of segments, part of which moves itself to the end of RAM. */
export class Seabios {
	private readonly image: SymbolImage;
	private readonly segmented: readonly SymbolImage[];
	/** What moves, as linked. */
	private readonly moving: { readonly first: bigint; readonly bytes: Buffer } | undefined;
	private moved: bigint | undefined;

	/** @throws UserError or Damaged where a file of the build is damaged */
	constructor(image: SymbolImage, path: string) {
		this.image = image;
		const files = SEGMENTED.map((name) => join(dirname(path), name)).filter((file) => existsSync(file));
		this.segmented = files.map((file) => new SymbolImage(loadSymbols(file).contents, SEGMENT));
		const { symbols, bytes } = image.contents;
		const [, first, end] = NAMES.map((name) => symbols.named(name)?.address);
		const code = first === undefined || end === undefined ? undefined : bytes?.(first, Number(end - first));
		this.moving = first === undefined || code === undefined ? undefined : { first, bytes: Buffer.from(code) };
	}

	/** Whether symbols are those of a `rom.o`. */
	static matches({ contents: { symbols } }: SymbolImage): boolean {
		return NAMES.every((name) => symbols.named(name) !== undefined);
	}

	/** What may know an address; the images of code in a segment have none but their own. */
	*images(address: bigint, read: MemoryReader): Generator<SymbolImage> {
		const low = address >= HIGH_ROM && address < HIGH_ROM + MEGABYTE ? HIGH_ROM : 0n;
		for (const image of [...this.segmented, this.image]) yield image.moved(image.bias + low);
		if (address < MEGABYTE || low !== 0n) return;
		const moved = this.movedBy(address, read);
		if (moved !== undefined) yield this.image.moved(moved);
	}

	/** How far the code around an address was moved, where it is code of this build. */
	private movedBy(address: bigint, read: MemoryReader): bigint | undefined {
		if (this.moving === undefined) return undefined;
		const { first, bytes } = this.moving;
		// Near the edge of memory there may be nothing before it.
		const start = [address - BigInt(AROUND / 2), address].find((from) => read(from, AROUND) !== undefined);
		const there = start === undefined ? undefined : read(start, AROUND);
		if (start === undefined || there === undefined) return undefined;
		const votes = new Map<bigint, number>();
		for (let at = 0; at + PIECE <= AROUND; at += 4) {
			const piece = there.subarray(at, at + PIECE);
			if (piece.every((byte) => byte === piece[0])) continue;
			const known = this.moved === undefined ? -1 : Number(start + BigInt(at) - this.moved - first);
			const fits = known >= 0 && bytes.subarray(known, known + PIECE).equals(piece);
			const found = fits ? known : bytes.indexOf(piece);
			if (found < 0) continue;
			const moved = start + BigInt(at) - (first + BigInt(found));
			const agreeing = (votes.get(moved) ?? 0) + 1;
			votes.set(moved, agreeing);
			if (agreeing >= AGREEING) {
				this.moved = moved;
				return moved;
			}
		}
		return undefined;
	}
}
