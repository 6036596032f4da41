import type { Device, Dma } from "../bus/device.ts";
import { MmioBus, type MmioRange, type RomStore } from "../bus/mmio-bus.ts";
import { Backing, type HostBuffer } from "../kvm/backing.ts";
import { DirtyLog } from "../kvm/dirty-log.ts";
import { MemSlots } from "../kvm/memslots.ts";
import { PlannedSlots } from "../kvm/memslots-planned.ts";
import { MemslotsPool } from "../kvm/memslots-pool.ts";
import type { FlatRange, FlatView } from "../memory/flat-view.ts";
import type { Region } from "../memory/region.ts";
import { planSlots } from "../memory/slot-plan.ts";
import type { VmMemory } from "../vcpu/vm-memory.ts";
import { lowBiosSize, MemoryMap, OPTION_ROM_SIZE, type Piece, pamSegmentStart, SLOT_SPLITS } from "./memory-map.ts";

export interface GuestMemoryOptions {
	/** A multiple of 4096, at least 1 MiB. */
	readonly ramBytes: number;
	/** Firmware images, of checked sizes. They are copied. */
	readonly bios?: Uint8Array;
	/** Unit 0 first. */
	readonly flash: readonly Uint8Array[];
	readonly vga: boolean;
	/** Told of every store to ROM or to RAM that PAM has locked. */
	readonly romStore: RomStore;
}

/**
 * The memory of a `pc` with its contents: host buffers, the map above them, the slots that the processor reads, and the bus for
 * what leaves the processor, all kept in step whenever the map changes.
 */
export class GuestMemory implements Dma {
	readonly map: MemoryMap;
	readonly slots: MemSlots;
	readonly dirtyLog: DirtyLog;
	readonly mmio: MmioBus;
	/** All of RAM, as one piece. */
	readonly ram: Uint8Array;
	/** The cells of the flash units; the guest sees what is written here. */
	readonly flash: readonly Uint8Array[];
	private readonly backing: Backing;
	private readonly planned: PlannedSlots;
	private readonly contents = new Map<bigint, Uint8Array>();
	private readonly devices = new Map<Region, Device>();
	private readonly dmaListeners: ((address: number, length: number) => void)[] = [];

	/** @throws UserError when it does not fit the VM's memory, or firmware overlaps something. */
	constructor(memory: VmMemory, { ramBytes, bios, flash, vga, romStore }: GuestMemoryOptions) {
		this.backing = new Backing(memory);
		const ram = this.allocate(ramBytes);
		const units = flash.map((image) => this.allocate(image.length, image));
		const [image] = flash;
		const low = bios === undefined && image !== undefined ? image.subarray(-lowBiosSize(image.length)) : undefined;
		this.map = new MemoryMap({
			ram: piece(ram),
			optionRom: piece(this.allocate(OPTION_ROM_SIZE)),
			flash: units.map(piece),
			vga,
			...(bios === undefined ? {} : { bios: piece(this.allocate(bios.length, bios)) }),
			...(low === undefined ? {} : { lowBios: piece(this.allocate(low.length, low)) }),
		});
		this.ram = ram.view;
		this.flash = units.map(({ view }) => view);
		this.slots = new MemSlots(this.backing, new MemslotsPool(memory));
		this.dirtyLog = new DirtyLog(this.slots);
		this.planned = new PlannedSlots(this.slots);
		this.mmio = new MmioBus(romStore);
		this.map.space.follow((view) => {
			this.planned.apply(planSlots(view.ranges, SLOT_SPLITS));
			this.route(view);
		});
	}

	/** Lets `device` answer for a region of the map: {@link MemoryMap.ioapic}, a flash unit, a base address register. */
	attach(region: Region, device: Device): void {
		this.devices.set(region, device);
		this.route(this.map.space.view);
	}

	/** Calls `listener` after a device has stored to RAM behind the processor's back. */
	onDmaWrite(listener: (address: number, length: number) => void): void {
		this.dmaListeners.push(listener);
	}

	/** What a store to ROM hit, for people: `bios`, `option rom`, `pam f0000`. */
	romName(address: number): string {
		const range = this.map.find(address);
		if (range === undefined) return "nothing";
		if (range.region === this.map.ram) return `pam ${pamSegmentStart(address).toString(16)}`;
		return range.region.name === "pc.rom" ? "option rom" : "bios";
	}

	read(gpa: number, length: number): Uint8Array {
		const data = new Uint8Array(length).fill(0xff);
		this.pieces(gpa, length, (range, bytes, done) => {
			if (range.direct) data.set(bytes, done);
		});
		return data;
	}

	write(gpa: number, data: Uint8Array): void {
		this.pieces(gpa, data.length, (range, bytes, done) => {
			if (range.region.body.kind !== "ram" || range.readonly) return;
			bytes.set(data.subarray(done, done + bytes.length));
			for (const listener of this.dmaListeners) listener(gpa + done, bytes.length);
		});
	}

	/** The memory within length bytes from `address` on, range by range; `done` counts from `address`. */
	private pieces(
		address: number,
		length: number,
		use: (range: FlatRange, bytes: Uint8Array, done: number) => void,
	): void {
		for (const range of this.map.space.view.ranges) {
			const first = Math.max(Number(range.first), address);
			const last = Math.min(Number(range.last), address + length - 1);
			const bytes = this.bytesOf(range);
			if (first > last || bytes === undefined) continue;
			const offset = first - Number(range.first);
			use(range, bytes.subarray(offset, offset + last - first + 1), first - address);
		}
	}

	private route({ ranges }: FlatView): void {
		const routes: MmioRange[] = [];
		for (const range of ranges) {
			const place = { first: Number(range.first), last: Number(range.last) };
			const { kind } = range.region.body;
			const bytes = kind === "ram" || kind === "rom" ? this.bytesOf(range) : undefined;
			const device = this.devices.get(range.region);
			if (bytes !== undefined) {
				routes.push({ ...place, target: { kind: "memory", bytes, writable: !range.readonly } });
			} else if (device !== undefined) {
				routes.push({ ...place, target: { kind: "device", device, offset: Number(range.offset) } });
			}
		}
		this.mmio.setRanges(routes);
	}

	/** The bytes of a range of memory, the first at index 0. */
	private bytesOf({ region, offset, first, last }: FlatRange): Uint8Array | undefined {
		if (!("userspaceAddr" in region.body)) return undefined;
		const start = Number(offset);
		return this.contents.get(region.body.userspaceAddr)?.subarray(start, start + Number(last - first) + 1);
	}

	private allocate(size: number, contents?: Uint8Array): HostBuffer {
		const buffer = this.backing.allocate(size);
		if (contents !== undefined) buffer.view.set(contents);
		this.contents.set(buffer.userspaceAddr, buffer.view);
		return buffer;
	}
}

function piece({ view, userspaceAddr }: HostBuffer): Piece {
	return { size: view.length, userspaceAddr };
}
