import { closeAll } from "../../base/close-all.ts";
import type { Clock } from "../../bus/device.ts";
import { MmioBus, type MmioRange, type MmioTarget, type RomStore } from "../../bus/mmio-bus.ts";
import type { BusTarget } from "../../bus/range-bus.ts";
import type { MachineConfig } from "../../config/index.ts";
import type { FlashEvent } from "../../devices/pflash-events.ts";
import { VGA_TEXT_BYTES } from "../../devices/vga-text.ts";
import { FlashFile } from "../../host/flash-file.ts";
import { readImage } from "../../host/read-file.ts";
import type { HostBuffer } from "../../kvm/backing.ts";
import { PlannedSlots } from "../../kvm/memslots-planned.ts";
import type { Vm } from "../../kvm/vm.ts";
import type { FlatRange } from "../../memory/flat-view.ts";
import type { Region } from "../../memory/region.ts";
import { SlotPlanner } from "../../memory/slot-plan.ts";
import {
	checkBiosSize,
	checkFlashSizes,
	lowBiosSize,
	MemoryMap,
	OPTION_ROM_SIZE,
	type Piece,
	SLOT_SPLITS,
} from "../memory-map.ts";
import type { MachineHost } from "../outcome.ts";
import type { Trace } from "../trace.ts";
import { FLASH_SECTOR, FlashUnit, flashGeometry } from "./flash-unit.ts";
import { tracedFlash, tracedRomd } from "./traced.ts";

const MIB = 2 ** 20;
const FLASH_LIMIT = 8 * MIB;
const BIOS_LIMIT = 16 * MIB;
/** Slots reach this far; a flat range beyond it is nothing that a processor can address. */
const PHYSICAL_END = 1n << 52n;

export interface PcMemoryParts {
	readonly vm: Vm;
	readonly clock: Clock;
	readonly host: Pick<MachineHost, "flash">;
	readonly shadow: boolean;
	readonly romStore: RomStore;
	/** Told when the host does not take what the guest has changed in its flash. */
	readonly unsaved: (problem: string) => void;
	readonly trace: Trace;
}

/**
 * The board's memory: RAM, firmware images and flash in host buffers, where the map puts them, and what follows from that — the VM's
 * slots and who answers where there is none.
 */
export class PcMemory {
	readonly map: MemoryMap;
	readonly mmio: MmioBus;
	readonly ram: HostBuffer;
	readonly flash: readonly FlashUnit[];
	/** 32 KiB at B8000, where the board has a VGA adapter. */
	readonly vgaText: HostBuffer | undefined;
	private readonly vm: Vm;
	/** Every buffer in the map, by its address as regions name it. */
	private readonly buffers = new Map<bigint, HostBuffer>();
	private readonly devices = new Map<Region, BusTarget>();
	/** What was found for a range: views share the ranges that have not changed. */
	private readonly mmioKnown = new WeakMap<FlatRange, readonly MmioRange[]>();

	/**
	 * Reads the images; the flash files stay open until {@link close}. What changes in the flash of a `shadow` is never written.
	 * @throws UserError for images that are missing, of a size that cannot be placed, or in use.
	 */
	constructor(config: MachineConfig, { vm, clock, shadow, romStore, trace, host, unsaved }: PcMemoryParts) {
		this.vm = vm;
		this.mmio = new MmioBus(romStore);
		const image = config.bios === undefined ? undefined : readImage(config.bios, "--bios", BIOS_LIMIT);
		if (image) checkBiosSize(`--bios: ${config.bios}`, image.length);
		const files: FlashFile[] = [];
		try {
			for (const { path, readonly, snapshot, option = "--flash" } of config.flash) {
				const options = { what: option, sectorSize: FLASH_SECTOR, limit: FLASH_LIMIT, failed: unsaved };
				files.push(new FlashFile(path, { ...options, readonly: readonly || snapshot || shadow }));
			}
			checkFlashSizes(files.map(({ size }, i) => ({ name: `--flash: ${config.flash[i]?.path}`, size })));
			const geometries = files.map(({ size }, i) => {
				const { path, chips } = config.flash[i]!;
				return flashGeometry(`--flash: ${path}`, size, chips);
			});
			this.ram = this.allocate(config.memoryBytes);
			this.vgaText = config.display === "none" ? undefined : this.allocate(VGA_TEXT_BYTES);
			const bios = image && this.loaded(image);
			const units = files.map((file) => {
				const buffer = this.allocate(file.size);
				file.load(buffer.view);
				return buffer;
			});
			const lowBios = bios ? undefined : this.lowCopy(units[0]);
			this.map = new MemoryMap({
				ram: piece(this.ram),
				optionRom: piece(this.allocate(OPTION_ROM_SIZE)),
				flash: units.map(piece),
				vga: this.vgaText !== undefined,
				...(this.vgaText ? { vgaText: piece(this.vgaText) } : {}),
				...(bios ? { bios: piece(bios) } : {}),
				...(lowBios ? { lowBios: piece(lowBios) } : {}),
			});
			this.flash = files.map((file, unit) => {
				const { flash } = shadow ? {} : host;
				const observer = flash && ((event: FlashEvent) => flash.record(unit, event));
				const { readonly, chips } = config.flash[unit]!;
				const geometry = geometries[unit]!;
				const parts = { vm, file, buffer: units[unit]!, readonly, chips, geometry, clock, observer };
				const romd = { setDirect: (on: boolean) => this.map.setRomd(unit, on) };
				return new FlashUnit(unit, parts, tracedRomd(`system.flash${unit}`, romd, trace));
			});
		} catch (error) {
			for (const file of files) file.close();
			throw error;
		}
		this.flash.forEach(({ device }, unit) => {
			this.connect(this.map.flash[unit], tracedFlash(device, trace));
		});
	}

	/** `device` answers where the map shows `region`. Call before {@link follow}. */
	connect(region: Region | undefined, device: BusTarget): void {
		if (region !== undefined) this.devices.set(region, device);
	}

	/** From now on slots and MMIO ranges follow the map; with `logDirty`, slots of RAM log which pages are stored to. */
	follow(logDirty = false): void {
		const slots = new PlannedSlots(this.vm.slots, { logDirty });
		const planner = new SlotPlanner(SLOT_SPLITS);
		this.map.space.follow(({ ranges }) => {
			slots.apply(planner.plan(ranges));
			this.mmio.setRanges(ranges.flatMap((range) => this.mmioRanges(range)));
		});
	}

	/** Flash contents reach the disk. */
	sync(): void {
		for (const unit of this.flash) unit.sync();
	}

	/** Flash contents reach the disk, and the files are closed. May be called repeatedly. */
	close(): void {
		closeAll(this.flash);
	}

	private allocate(bytes: number): HostBuffer {
		const buffer = this.vm.allocate(bytes);
		this.buffers.set(buffer.userspaceAddr, buffer);
		return buffer;
	}

	private loaded(image: Uint8Array): HostBuffer {
		const buffer = this.allocate(image.length);
		buffer.view.set(image);
		return buffer;
	}

	/** The end of flash unit 0, for addresses below 1 MiB. */
	private lowCopy(unit0: HostBuffer | undefined): HostBuffer | undefined {
		return unit0 && this.loaded(unit0.view.slice(unit0.view.length - lowBiosSize(unit0.view.length)));
	}

	private mmioRanges(range: FlatRange): readonly MmioRange[] {
		const known = this.mmioKnown.get(range);
		if (known !== undefined) return known;
		const target = range.last < PHYSICAL_END ? this.mmioTarget(range) : undefined;
		const ranges = target ? [{ first: Number(range.first), last: Number(range.last), target }] : [];
		this.mmioKnown.set(range, ranges);
		return ranges;
	}

	/** Flash is a device also while it has a slot: stores to it are commands. */
	private mmioTarget({ region, offset, readonly }: FlatRange): MmioTarget | undefined {
		const device = this.devices.get(region);
		if (device !== undefined) return { kind: "device", device, offset: Number(offset) };
		if (!("userspaceAddr" in region.body)) return undefined;
		const bytes = this.buffers.get(region.body.userspaceAddr)?.view.subarray(Number(offset));
		return bytes && { kind: "memory", bytes, writable: !readonly };
	}
}

function piece({ view, userspaceAddr }: HostBuffer): Piece {
	return { size: view.length, userspaceAddr };
}
