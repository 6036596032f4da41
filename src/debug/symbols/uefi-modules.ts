import type { Guid } from "../../uefi/guid.ts";
import { Bytes, Damaged } from "./bytes.ts";
import type { GuestView } from "./guest-view.ts";
import { type DebugEntry, debugEntry, isPe, moduleOfPath, PE_HEADERS, type PeImage, readPe } from "./pe-image.ts";
import { wordIn } from "./symbols.ts";
import { type ListedImage, UefiTables } from "./uefi-tables.ts";
import { volumeNames } from "./uefi-volumes.ts";

/** An image in guest memory. */
export interface UefiModule {
	readonly name: string;
	/** Linear address that `rva`s count from; of a TE image below where it begins. */
	readonly base: bigint;
	/** Its first byte and the one behind its last. */
	readonly first: bigint;
	readonly end: bigint;
	readonly image: PeImage;
	readonly debug: DebugEntry | undefined;
}

/** How far before an address the headers of its image may lie. */
const LARGEST_SCANNED = 2 << 20;
const PAGE = 4096;
/** Bytes compared to see that an image still is where it was: its headers differ from others in sizes, far behind the beginning. */
const MARK = 512;
/** Fewer bytes are no headers. */
const LEAST_HEADERS = 64;
/** Misses remembered, and images. */
const MOST = 4096;
/** Where ROM and flash of a PC lie, as far as firmware is in them. */
const ROM_START = 0xff00_0000n;
const ROM_END = 0x1_0000_0000n;
/** `_FVH` in the header of a firmware volume, which begins at a page as all that edk2 makes do. */
const VOLUME_SIGNATURE = 0x4856_465fn;
const SIGNATURE_AT = 0x28n;
/** Sections of files in firmware volumes (UEFI Platform Initialization, volume 3, 2.1.5). */
const SECTION = { pe: 0x10, te: 0x12, name: 0x15 } as const;
const SECTIONS_BEHIND = 4;

interface Found extends UefiModule {
	readonly mark: Uint8Array;
}

/** The images of UEFI firmware: those that its loader lists, and those that run in place or before there is a list. */
export class UefiModules {
	private readonly view: GuestView;
	private readonly tables: UefiTables;
	private readonly modules = new Map<bigint, Found>();
	/** Pages without an image, and how many images were listed then. */
	private readonly missed = new Map<bigint, number>();
	private listed = 0;
	private hasVolume = false;
	/** Questions until the next look for a volume, which come ever more rarely. */
	private nextLook = 0;
	private looks = 0;
	private names: ReadonlyMap<Guid, string> | undefined;

	constructor(view: GuestView) {
		this.view = view;
		this.tables = new UefiTables(view.read);
	}

	/** The image that an address belongs to. */
	at(address: bigint): UefiModule | undefined {
		const known = this.known(address);
		if (known !== undefined) return known;
		this.list();
		const page = address / BigInt(PAGE);
		if (this.missed.get(page) === this.listed) return undefined;
		if (this.listed === 0 && !this.isUefi()) return undefined;
		const found = this.known(address) ?? this.scanned(address);
		if (found === undefined) {
			if (this.missed.size >= MOST) this.missed.clear();
			this.missed.set(page, this.listed);
		}
		return found;
	}

	/** All images that the firmware lists, in its order. */
	all(): readonly UefiModule[] {
		this.list();
		return [...this.modules.values()];
	}

	/** Whether there is a firmware volume in the ROM: without one there are no images to look for. */
	private isUefi(): boolean {
		if (this.hasVolume || this.nextLook-- > 0) return this.hasVolume;
		for (let page = ROM_END - BigInt(PAGE); page >= ROM_START && !this.hasVolume; page -= BigInt(PAGE)) {
			const signature = this.view.read(page + SIGNATURE_AT, 4);
			this.hasVolume = signature !== undefined && wordIn(signature) === VOLUME_SIGNATURE;
		}
		// Flash that takes commands shows nothing: what was not there may be there later.
		this.nextLook = this.looks;
		this.looks = Math.min(this.looks * 2 + 1, MOST);
		return this.hasVolume;
	}

	private known(address: bigint): Found | undefined {
		for (const module of this.modules.values()) {
			if (address < module.first || address >= module.end) continue;
			const now = this.view.read(module.first, module.mark.length);
			if (now?.every((byte, at) => byte === module.mark[at])) return module;
			this.modules.delete(module.first);
		}
		return undefined;
	}

	/** Takes over what the list of images has more than before. */
	private list(): void {
		const images = this.tables.images();
		this.listed = images.length;
		for (const image of images) {
			if (this.modules.has(image.base)) continue;
			const module = this.moduleAt(image.base, () => this.listedName(image));
			if (module !== undefined) this.keep(module);
		}
	}

	/** The name of the file: on a disk, or in a firmware volume, where it is a GUID with a name beside it. */
	private listedName({ name, file }: ListedImage): string | undefined {
		if (name !== undefined || file === undefined) return name;
		const list = this.names === undefined ? this.tables.handOffBlocks() : undefined;
		if (list !== undefined) this.names = volumeNames(this.view.read, list);
		return this.names?.get(file) ?? file;
	}

	private keep(module: Found): void {
		if (this.modules.size >= MOST) this.modules.clear();
		this.modules.set(module.first, module);
	}

	/** Looks backwards, page by page, for headers of an image that reaches as far as `address`. */
	private scanned(address: bigint): Found | undefined {
		const lowest = address > BigInt(LARGEST_SCANNED) ? address - BigInt(LARGEST_SCANNED) : 0n;
		for (let page = address & ~BigInt(PAGE - 1); page >= lowest; page -= BigInt(PAGE)) {
			const bytes = this.view.read(page, PAGE);
			if (bytes === undefined) return undefined;
			for (let at = PAGE - 4; at >= 0; at -= 4) {
				const magic = bytes[at]! | (bytes[at + 1]! << 8);
				if (!isPe(magic)) continue;
				const module = this.moduleAt(page + BigInt(at), () => undefined);
				if (module === undefined || address < module.first || address >= module.end) continue;
				this.keep(module);
				return module;
			}
			if (page === 0n) break;
		}
		return undefined;
	}

	/** The image whose headers are at `first`. */
	private moduleAt(first: bigint, otherName: () => string | undefined): Found | undefined {
		const { read } = this.view;
		try {
			const head = read(first, PE_HEADERS) ?? read(first, PAGE - Number(first & BigInt(PAGE - 1)));
			if (head === undefined || head.length < LEAST_HEADERS) return undefined;
			const image = readPe(new Bytes(head, "its headers"));
			const base = first - BigInt(image.stripped);
			const debug = debugEntry(image, (rva, size) => {
				const bytes = read(base + BigInt(rva), size);
				return bytes && new Bytes(bytes, "its debug directory");
			});
			const name = (debug && moduleOfPath(debug.path)) ?? this.volumeName(first) ?? otherName();
			const end = base + BigInt(image.size);
			const mark = head.slice(0, MARK);
			return { name: name ?? `image at 0x${first.toString(16)}`, base, first, end, image, debug, mark };
		} catch (error) {
			if (error instanceof Damaged) return undefined;
			throw error;
		}
	}

	/** The name that the file in a firmware volume has, where the image lies in one: in a section behind that of the image. */
	private volumeName(first: bigint): string | undefined {
		let at = first - 4n;
		for (let n = 0; n <= SECTIONS_BEHIND; n++) {
			const header = this.view.read(at, 4);
			if (header === undefined) return undefined;
			const size = header[0]! | (header[1]! << 8) | (header[2]! << 16);
			const type = header[3]!;
			if (size < 4 || (n === 0 && type !== SECTION.pe && type !== SECTION.te)) return undefined;
			if (type === SECTION.name) {
				const text = this.view.read(at + 4n, Math.min(size - 4, 128));
				return text && moduleOfPath(new TextDecoder("utf-16le").decode(text).replace(/\0.*$/s, ""));
			}
			at += BigInt((size + 3) & ~3);
		}
		return undefined;
	}
}
