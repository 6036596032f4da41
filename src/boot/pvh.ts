import { isElf, loadElf, readElf } from "./elf.ts";
import type { ImageFile } from "./image-file.ts";
import { type Kernel, type Payload, zeroEnded } from "./kernel.ts";
import type { LoadMap } from "./load-map.ts";

/** hvm_start_info, version 1 (Xen public/arch-x86/hvm/start_info.h). */
const INFO = {
	size: 56,
	magic: 0,
	version: 4,
	moduleCount: 12,
	modules: 16,
	commandLine: 24,
	rsdp: 32,
	map: 40,
	mapCount: 48,
} as const;
const MAGIC = 0x336e_c578;
const MODULE_SIZE = 32;
const MAP_ENTRY = 24;
const PAGE = 4096;

/** An ELF image with Xen's note of a 32-bit entry point: Linux's vmlinux among others. */
export function pvhKernel(file: ImageFile): Kernel | undefined {
	if (!isElf(file)) return undefined;
	const elf = readElf(file);
	const entry = elf.pvhEntry;
	if (entry === undefined) return undefined;
	if (!elf.segments.some(({ physical, size }) => entry >= physical && entry < physical + size)) {
		throw file.refuse(`is damaged: its PVH entry point 0x${entry.toString(16)} lies in no ELF segment`);
	}
	return {
		protocol: "PVH",
		modules: "one",
		load(payload, map) {
			loadElf(file, elf, map);
			return { bits: 32, entry, registers: { rbx: startInfo(payload, map) } };
		},
	};
}

/** @returns the address of the start information */
function startInfo({ commandLine, modules, platform }: Payload, map: LoadMap): number {
	const what = "PVH's start information";
	const info = new Uint8Array(INFO.size);
	const view = new DataView(info.buffer);
	const address = map.allocate(what, info);
	const pointer = (at: number, value: number): void => view.setBigUint64(at, BigInt(value), true);
	view.setUint32(INFO.magic, MAGIC, true);
	view.setUint32(INFO.version, 1, true);
	pointer(INFO.commandLine, map.allocate("--append", zeroEnded(commandLine)));
	pointer(INFO.rsdp, platform.rsdp);

	const entries = new Uint8Array(platform.map.length * MAP_ENTRY);
	const mapView = new DataView(entries.buffer);
	platform.map.forEach(({ first, size, type }, n) => {
		mapView.setBigUint64(n * MAP_ENTRY, BigInt(first), true);
		mapView.setBigUint64(n * MAP_ENTRY + 8, BigInt(size), true);
		mapView.setUint32(n * MAP_ENTRY + 16, type, true);
	});
	pointer(INFO.map, map.allocate(what, entries));
	view.setUint32(INFO.mapCount, platform.map.length, true);

	if (modules.length > 0) {
		const list = new Uint8Array(modules.length * MODULE_SIZE);
		const listView = new DataView(list.buffer);
		pointer(INFO.modules, map.allocate(what, list));
		view.setUint32(INFO.moduleCount, modules.length, true);
		modules.forEach(({ name, bytes }, n) => {
			const first = map.allocate(name, bytes, { align: PAGE, high: true });
			listView.setBigUint64(n * MODULE_SIZE, BigInt(first), true);
			listView.setBigUint64(n * MODULE_SIZE + 8, BigInt(bytes.length), true);
		});
	}
	return address;
}
