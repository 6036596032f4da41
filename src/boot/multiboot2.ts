import { join, u32 } from "../base/bytes.ts";
import { isElf, loadElf, readElf } from "./elf.ts";
import type { ImageFile } from "./image-file.ts";
import { type Kernel, type Payload, upperKib, zeroEnded } from "./kernel.ts";
import type { LoadMap } from "./load-map.ts";
import { LOADER_NAME, loadByAddresses } from "./multiboot.ts";

/** Multiboot 2.0: the header, 3.1. */
const SEARCH = 32768;
const HEADER_MAGIC = 0xe852_50d6;
const LOADER_MAGIC = 0x36d7_6289;
const I386 = 0;
const HEADER_SIZE = 16;
const OPTIONAL = 1;

/** Tags of the header, 3.1.3 on. */
const WANTS = {
	end: 0,
	information: 1,
	addresses: 2,
	entry: 3,
	console: 4,
	screen: 5,
	moduleAlignment: 6,
	efiBootServices: 7,
	efiEntry32: 8,
	efiEntry64: 9,
	relocatable: 10,
} as const;
/** Those that a machine without EFI can do without doing anything. */
const HARMLESS: readonly number[] = [
	...[WANTS.console, WANTS.screen, WANTS.moduleAlignment],
	...[WANTS.efiBootServices, WANTS.efiEntry32, WANTS.efiEntry64, WANTS.relocatable],
];

/** Tags of the information, 3.6. */
const TELLS = {
	commandLine: 1,
	loader: 2,
	module: 3,
	memory: 4,
	map: 6,
	screen: 8,
	rsdp: 14,
} as const;
const PAGE = 4096;
const LOWER_KIB = 640;
const MAP_ENTRY = 24;
const EGA_TEXT = 2;

interface Header {
	readonly at: number;
	/** Types of the information that the kernel cannot do without. */
	readonly needs: readonly number[];
	/** Offset of the tag with load addresses. */
	readonly addresses: number | undefined;
	readonly entry: number | undefined;
}

/** A kernel with a Multiboot 2 header for i386. */
export function multiboot2Kernel(file: ImageFile): Kernel | undefined {
	const at = findHeader(file);
	if (at === undefined) return undefined;
	const header = readHeader(file, at);
	return {
		protocol: "Multiboot 2",
		modules: "several",
		load(payload, map) {
			const entry = loadImage(file, header, map);
			return { bits: 32, entry, registers: { rax: LOADER_MAGIC, rbx: bootInformation(file, header, payload, map) } };
		},
	};
}

function findHeader(file: ImageFile): number | undefined {
	const end = Math.min(file.size, SEARCH) - HEADER_SIZE;
	for (let at = 0; at <= end; at += 8) {
		if (file.u32(at, "") !== HEADER_MAGIC) continue;
		const rest = [4, 8, 12].reduce((sum, offset) => sum + file.u32(at + offset, ""), HEADER_MAGIC);
		if (rest % 2 ** 32 === 0) return at;
	}
	return undefined;
}

/** @throws UserError for a header that is damaged or asks for what there is not. */
function readHeader(file: ImageFile, at: number): Header {
	const what = "its Multiboot 2 header";
	const architecture = file.u32(at + 4, what);
	if (architecture !== I386)
		throw file.refuse(`is for another kind of processor (Multiboot 2 architecture ${architecture})`);
	const end = at + file.u32(at + 8, what);
	const needs: number[] = [];
	let addresses: number | undefined;
	let entry: number | undefined;
	for (let tag = at + HEADER_SIZE; tag + 8 <= end; ) {
		const type = file.u16(tag, what);
		const optional = (file.u16(tag + 2, what) & OPTIONAL) !== 0;
		const size = file.u32(tag + 4, what);
		if (size < 8) throw file.refuse(`is damaged: a tag of its Multiboot 2 header has ${size} bytes`);
		if (type === WANTS.end) break;
		if (type === WANTS.addresses) addresses = tag + 8;
		else if (type === WANTS.entry) entry = file.u32(tag + 8, what);
		else if (type === WANTS.information) {
			for (let n = tag + 8; n + 4 <= Math.min(tag + size, end) && !optional; n += 4) needs.push(file.u32(n, what));
		} else if (!optional && !HARMLESS.includes(type)) {
			throw file.refuse(`asks in its Multiboot 2 header for what is unknown here: tag ${type}`);
		}
		tag += Math.ceil(size / 8) * 8;
	}
	return { at, needs, addresses, entry };
}

/** @returns the entry point */
function loadImage(file: ImageFile, { at, addresses, entry }: Header, map: LoadMap): number {
	if (addresses !== undefined) {
		const field = (n: number): number => file.u32(addresses + n * 4, "its Multiboot 2 header");
		if (entry === undefined) throw file.refuse("has load addresses but no entry point in its Multiboot 2 header");
		loadByAddresses(file, { headerAt: at, header: field(0), load: field(1), loadEnd: field(2), bssEnd: field(3) }, map);
		return entry;
	}
	if (!isElf(file)) throw file.refuse("has a Multiboot 2 header without load addresses, and is no ELF image");
	const elf = readElf(file);
	loadElf(file, elf, map);
	return entry ?? elf.entry;
}

/** Total size, a reserved word, then tags at multiples of 8 bytes. @returns its address. */
function bootInformation(file: ImageFile, { needs }: Header, payload: Payload, map: LoadMap): number {
	const { commandLine, modules, platform } = payload;
	const tags: (readonly [type: number, body: Uint8Array])[] = [
		[TELLS.commandLine, zeroEnded(commandLine)],
		[TELLS.loader, zeroEnded(LOADER_NAME)],
		[TELLS.memory, words(LOWER_KIB, upperKib(platform))],
		[TELLS.map, memoryMap(payload)],
		[TELLS.rsdp, platform.rsdpBytes],
	];
	for (const { name, bytes, text } of modules) {
		const first = map.allocate(name, bytes, { align: PAGE });
		tags.push([TELLS.module, join(words(first, first + bytes.length), zeroEnded(text))]);
	}
	if (platform.textScreen) {
		const EGA = Uint8Array.of(16, EGA_TEXT, 0, 0);
		tags.push([TELLS.screen, join(words(0xb8000, 0, 160, 80, 25), EGA)]);
	}
	const missing = needs.find((need) => need !== 0 && !tags.some(([type]) => type === need));
	if (missing !== undefined && missing !== TELLS.module) {
		throw file.refuse(`needs information of Multiboot 2 that this machine does not have: tag ${missing}`);
	}
	const bytes = join(
		words(0, 0),
		...tags.map(([type, body]) => join(words(type, 8 + body.length), body, new Uint8Array(-body.length & 7))),
		words(0, 8),
	);
	new DataView(bytes.buffer).setUint32(0, bytes.length, true);
	return map.allocate("Multiboot's information", bytes);
}

/** Entry size and version, then base, length, type and a reserved word each. */
function memoryMap({ platform }: Payload): Uint8Array {
	const bytes = new Uint8Array(8 + platform.map.length * MAP_ENTRY);
	const view = new DataView(bytes.buffer);
	view.setUint32(0, MAP_ENTRY, true);
	platform.map.forEach(({ first, size, type }, n) => {
		const at = 8 + n * MAP_ENTRY;
		view.setBigUint64(at, BigInt(first), true);
		view.setBigUint64(at + 8, BigInt(size), true);
		view.setUint32(at + 16, type, true);
	});
	return bytes;
}

function words(...values: readonly number[]): Uint8Array {
	return join(...values.map(u32));
}
