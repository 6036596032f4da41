import { isElf, loadElf, readElf } from "./elf.ts";
import type { ImageFile } from "./image-file.ts";
import { type Kernel, type Payload, upperKib, zeroEnded } from "./kernel.ts";
import type { LoadMap } from "./load-map.ts";

/** Multiboot 0.6.96: the header's place, 3.1.1; its fields, 3.1.2. */
const SEARCH = 8192;
const HEADER_MAGIC = 0x1bad_b002;
const LOADER_MAGIC = 0x2bad_b002;
/** Of the flags that a loader must understand: pages, memory, video mode. */
const KNOWN_REQUIREMENTS = 0x0007;
const REQUIREMENTS = 0xffff;
const HAS_ADDRESSES = 1 << 16;

/** Boot information, 3.3. */
const INFO = {
	size: 120,
	lower: 4,
	upper: 8,
	commandLine: 16,
	moduleCount: 20,
	modules: 24,
	mapLength: 44,
	map: 48,
	loader: 64,
	screen: 88,
} as const;
const HAS_MEMORY = 1 << 0;
const HAS_COMMAND_LINE = 1 << 2;
const HAS_MODULES = 1 << 3;
const HAS_MAP = 1 << 6;
const HAS_LOADER = 1 << 9;
const HAS_SCREEN = 1 << 12;
const MAP_ENTRY = 24;
const PAGE = 4096;
const LOWER_KIB = 640;
const EGA_TEXT = 2;
export const LOADER_NAME = "tsvmm";

/** A kernel that names where its parts go itself, instead of by an ELF header. */
export interface ImageAddresses {
	/** Where the header is in the file, and where it belongs. */
	readonly headerAt: number;
	readonly header: number;
	readonly load: number;
	/** 0: up to the end of the file. */
	readonly loadEnd: number;
	/** 0: nothing. */
	readonly bssEnd: number;
}

/** Loads an image by the addresses in its header. @throws UserError where they contradict each other or the file is too short. */
export function loadByAddresses(file: ImageFile, addresses: ImageAddresses, map: LoadMap): void {
	const { headerAt, header, load, loadEnd, bssEnd } = addresses;
	const first = headerAt - (header - load);
	const size = loadEnd === 0 ? file.size - first : loadEnd - load;
	if (first < 0 || header < load || size <= 0 || (bssEnd !== 0 && bssEnd < load + size)) {
		throw file.refuse("is damaged: the load addresses in its Multiboot header contradict each other");
	}
	const bytes = file.slice(first, size, "what its Multiboot header says");
	map.put(`${file.name}: the kernel`, load, bytes, bssEnd === 0 ? size : bssEnd - load);
}

/** A kernel with a Multiboot 1 header. */
export function multibootKernel(file: ImageFile): Kernel | undefined {
	const at = findHeader(file);
	if (at === undefined) return undefined;
	const flags = file.u32(at + 4, "its Multiboot header");
	const unknown = flags & REQUIREMENTS & ~KNOWN_REQUIREMENTS;
	if (unknown !== 0) {
		throw file.refuse(`asks in its Multiboot header for what is unknown here: flags 0x${unknown.toString(16)}`);
	}
	return {
		protocol: "Multiboot",
		modules: "several",
		load(payload, map) {
			const entry = loadImage(file, at, flags, map);
			const info = bootInformation(payload, map);
			return { bits: 32, entry, registers: { rax: LOADER_MAGIC, rbx: info } };
		},
	};
}

function findHeader(file: ImageFile): number | undefined {
	const end = Math.min(file.size, SEARCH) - 12;
	for (let at = 0; at <= end; at += 4) {
		if (file.u32(at, "") !== HEADER_MAGIC) continue;
		if (((HEADER_MAGIC + file.u32(at + 4, "") + file.u32(at + 8, "")) & 0xffff_ffff) === 0) return at;
	}
	return undefined;
}

/** @returns the entry point */
function loadImage(file: ImageFile, at: number, flags: number, map: LoadMap): number {
	if ((flags & HAS_ADDRESSES) === 0) {
		if (!isElf(file)) throw file.refuse("has a Multiboot header without load addresses, and is no ELF image");
		const elf = readElf(file);
		loadElf(file, elf, map);
		return elf.entry;
	}
	const field = (offset: number): number => file.u32(at + offset, "its Multiboot header");
	const addresses = { headerAt: at, header: field(12), load: field(16), loadEnd: field(20), bssEnd: field(24) };
	loadByAddresses(file, addresses, map);
	return field(28);
}

/** The information structure and everything that it points to. @returns its address. */
function bootInformation({ path, commandLine, modules, platform }: Payload, map: LoadMap): number {
	const info = new Uint8Array(INFO.size);
	const view = new DataView(info.buffer);
	const set = (offset: number, value: number): void => view.setUint32(offset, value, true);
	const address = map.allocate("Multiboot's information", info);
	let flags = HAS_MEMORY | HAS_COMMAND_LINE | HAS_MAP | HAS_LOADER;
	set(INFO.lower, LOWER_KIB);
	set(INFO.upper, upperKib(platform));
	set(INFO.commandLine, map.allocate("--append", zeroEnded(commandLineOf(path, commandLine))));
	set(INFO.loader, map.allocate("Multiboot's information", zeroEnded(LOADER_NAME)));

	const entries = new Uint8Array(platform.map.length * MAP_ENTRY);
	const mapView = new DataView(entries.buffer);
	platform.map.forEach(({ first, size, type }, n) => {
		const at = n * MAP_ENTRY;
		mapView.setUint32(at, MAP_ENTRY - 4, true);
		mapView.setBigUint64(at + 4, BigInt(first), true);
		mapView.setBigUint64(at + 12, BigInt(size), true);
		mapView.setUint32(at + 20, type, true);
	});
	set(INFO.mapLength, entries.length);
	set(INFO.map, map.allocate("Multiboot's information", entries));

	if (modules.length > 0) {
		flags |= HAS_MODULES;
		const list = new Uint8Array(modules.length * 16);
		const listView = new DataView(list.buffer);
		set(INFO.moduleCount, modules.length);
		set(INFO.modules, map.allocate("Multiboot's information", list));
		modules.forEach(({ name, bytes, text }, n) => {
			const first = map.allocate(name, bytes, { align: PAGE });
			listView.setUint32(n * 16, first, true);
			listView.setUint32(n * 16 + 4, first + bytes.length, true);
			listView.setUint32(n * 16 + 8, map.allocate(name, zeroEnded(text)), true);
		});
	}
	if (platform.textScreen) {
		flags |= HAS_SCREEN;
		view.setBigUint64(INFO.screen, 0xb8000n, true);
		set(INFO.screen + 8, 160);
		set(INFO.screen + 12, 80);
		set(INFO.screen + 16, 25);
		view.setUint8(INFO.screen + 20, 16);
		view.setUint8(INFO.screen + 21, EGA_TEXT);
	}
	set(0, flags);
	return address;
}

/** As QEMU and GRUB have it: the kernel's name comes first. */
export function commandLineOf(path: string, commandLine: string): string {
	return commandLine === "" ? path : `${path} ${commandLine}`;
}
