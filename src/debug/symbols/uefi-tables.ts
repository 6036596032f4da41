import { type Guid, guidAt } from "../../uefi/guid.ts";
import { moduleOfPath } from "./pe-image.ts";
import { type MemoryReader, wordIn } from "./symbols.ts";

/** An image that the firmware's loader lists. */
export interface ListedImage {
	readonly base: bigint;
	/** The name of the file that it was loaded from. */
	readonly name: string | undefined;
	/** The file in a firmware volume that it was loaded from. */
	readonly file: Guid | undefined;
}

/** "IBI SYST", of the system table and of the pointer to it (UEFI 4.3 and 18.4.2). */
const SIGNATURE = 0x5453_5953_2049_4249n;
/** The pointer lies at a multiple of this. */
const POINTER_ALIGN = 1n << 22n;
/** RAM of a machine ends here at the latest. */
const HIGHEST = 1n << 32n;
/** Configuration tables: EFI_DEBUG_IMAGE_INFO_TABLE_GUID and HOB_LIST_GUID. */
const DEBUG_IMAGES: Guid = "49152e77-1ada-4764-b7a2-7afefed95e8b";
const HAND_OFF_BLOCKS: Guid = "7739f24c-93d7-11d4-9a3a-0090273fc14d";
const MOST_TABLES = 256;
const MOST_IMAGES = 4096;
const NORMAL_IMAGE = 1n;
/** Offsets of fields in 64-bit and 32-bit firmware. */
const LAYOUTS = {
	8: { tableCount: 104, tables: 112, entry: 24, filePath: 32, base: 64 },
	4: { tableCount: 64, tables: 68, entry: 20, filePath: 16, base: 32 },
} as const;
/** Nodes of device paths (UEFI 10.3). */
const NODE = { media: 4, filePath: 4, volumeFile: 6, end: 0x7f } as const;
const MOST_NODES = 32;

interface SystemTable {
	readonly address: bigint;
	readonly word: 4 | 8;
}

/** The list of images that the core of UEFI's DXE phase keeps for debuggers. Nothing in it is believed before it has been looked at. */
export class UefiTables {
	private readonly read: MemoryReader;
	private system: SystemTable | undefined;
	/** What was found, and where the list was and how long it was then. */
	private last: { readonly list: bigint; readonly size: bigint; readonly images: readonly ListedImage[] } | undefined;
	/** Searches for the system table that found none; further ones are made ever more rarely. */
	private misses = 0;
	private nextSearch = 0;

	constructor(read: MemoryReader) {
		this.read = read;
	}

	/** What is loaded; nothing before the DXE phase, and when an operating system has taken the memory. */
	images(): readonly ListedImage[] {
		const system = this.systemTable();
		if (system === undefined) return [];
		const { word } = system;
		const header = this.configurationTable(system, DEBUG_IMAGES);
		const size = header && this.number(header + 4n, 4);
		const list = header && this.number(header + 8n, word);
		if (size === undefined || list === undefined) return [];
		if (this.last?.list === list && this.last.size === size) return this.last.images;
		const images: ListedImage[] = [];
		for (let n = 0n; n < size && images.length < MOST_IMAGES; n++) {
			const info = this.number(list + n * BigInt(word), word);
			if (info === undefined) break;
			const image =
				info === 0n || this.number(info, 4) !== NORMAL_IMAGE ? undefined : this.number(info + BigInt(word), word);
			const base = image && this.number(image + BigInt(LAYOUTS[word].base), word);
			if (image === undefined || base === undefined) continue;
			images.push({ base, ...this.origin(this.number(image + BigInt(LAYOUTS[word].filePath), word)) });
		}
		this.last = { list, size, images };
		return images;
	}

	/** Where the list of hand-off blocks begins, which the DXE phase started from. */
	handOffBlocks(): bigint | undefined {
		const system = this.systemTable();
		return system && this.configurationTable(system, HAND_OFF_BLOCKS);
	}

	private systemTable(): SystemTable | undefined {
		if (this.system !== undefined && this.number(this.system.address, 8) === SIGNATURE) return this.system;
		this.system = undefined;
		if (this.nextSearch > 0) {
			this.nextSearch--;
			return undefined;
		}
		for (let at = POINTER_ALIGN; at < HIGHEST; at += POINTER_ALIGN) {
			if (this.number(at, 8) !== SIGNATURE) continue;
			const address = this.number(at + 8n, 8);
			if (address === undefined || this.number(address, 8) !== SIGNATURE) continue;
			// Its own size tells 64-bit tables from 32-bit ones.
			const size = this.number(address + 12n, 4);
			this.system = { address, word: size !== undefined && size < 100n ? 4 : 8 };
			return this.system;
		}
		this.nextSearch = this.misses;
		this.misses = Math.min(this.misses * 2 + 1, MOST_IMAGES);
		return undefined;
	}

	private configurationTable({ address, word }: SystemTable, wanted: Guid): bigint | undefined {
		const layout = LAYOUTS[word];
		const count = this.number(address + BigInt(layout.tableCount), word);
		const tables = this.number(address + BigInt(layout.tables), word);
		if (count === undefined || tables === undefined || count > MOST_TABLES) return undefined;
		for (let n = 0n; n < count; n++) {
			const entry = tables + n * BigInt(layout.entry);
			const guid = this.read(entry, 16);
			if (guid === undefined) return undefined;
			if (guidAt(guid, 0) === wanted) return this.number(entry + 16n, word);
		}
		return undefined;
	}

	/** The last file in a device path. */
	private origin(path: bigint | undefined): Pick<ListedImage, "name" | "file"> {
		let at = path ?? 0n;
		let name: string | undefined;
		let file: Guid | undefined;
		for (let n = 0; at !== 0n && n < MOST_NODES; n++) {
			const node = this.read(at, 4);
			if (node === undefined || node[0] === NODE.end) break;
			const length = node[2]! | (node[3]! << 8);
			if (length < 4) break;
			const data = node[0] === NODE.media ? this.read(at + 4n, Math.max(Math.min(length - 4, 512), 1)) : undefined;
			if (data !== undefined && node[1] === NODE.filePath)
				name = moduleOfPath(new TextDecoder("utf-16le").decode(data).replace(/\0.*$/s, ""));
			if (data !== undefined && node[1] === NODE.volumeFile && data.length >= 16) file = guidAt(data, 0);
			at += BigInt(length);
		}
		return { name, file };
	}

	private number(address: bigint, size: 4 | 8): bigint | undefined {
		const bytes = this.read(BigInt.asUintN(64, address), size);
		return bytes && wordIn(bytes);
	}
}
