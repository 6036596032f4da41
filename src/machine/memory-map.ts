import { assert, UserError } from "../base/errors.ts";
import { gpa } from "../base/gpa.ts";
import { formatRange, type GpaRange, rangeOf, rangesOverlap } from "../base/ranges.ts";
import { AddressSpace } from "../memory/address-space.ts";
import type { FlatRange } from "../memory/flat-view.ts";
import { type Placement, Region, type RegionBody } from "../memory/region.ts";
import { Topology } from "../memory/topology.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const FOUR_GIB = 4 * GIB;

/** RAM of this size and more is split: 3 GiB below 4 GiB, the rest above. Less of it stays in one piece below the PCI hole. */
const RAM_SPLIT_FROM = 3.5 * GIB;
const RAM_BELOW_SPLIT = 3 * GIB;

const VGA_WINDOW = 0xa0000;
const VGA_WINDOW_SIZE = 128 * KIB;
const VGA_TEXT = 0xb8000;
const PAM_AREA = 0xc0000;
/** Bytes of `pc.rom`. */
export const OPTION_ROM_SIZE = 128 * KIB;
const F_SEGMENT = 0xf0000;
const ONE_MIB = 0x100000;
const LOW_BIOS_MAX = 128 * KIB;
const IOAPIC = 0xfec00000;
const HPET = 0xfed00000;
const APIC_MSI = 0xfee00000;
const APIC_PAGE = 4 * KIB;

const BIOS_UNIT = 64 * KIB;
const BIOS_MAX = 16 * MIB;
const FLASH_SECTOR = 4096;
const FLASH_MAX = 8 * MIB;

/** PAM segments of the 82441FX: 0 is F0000..FFFFF, 1..12 are the 16 KiB pieces from C0000 up to EFFFF. */
export const PAM_SEGMENTS = 13;

/** Memory slots keep apart what PAM switches from the RAM below and above it. */
export const SLOT_SPLITS: readonly bigint[] = [BigInt(PAM_AREA), BigInt(ONE_MIB)];

/** A piece of memory: its size in bytes and its host address, as in a KVM slot. */
export interface Piece {
	readonly size: number;
	readonly userspaceAddr: bigint;
}

export interface MemoryMapOptions {
	/** At least 1 MiB. */
	readonly ram: Piece;
	/** The ROM that ends at 4 GiB. */
	readonly bios?: Piece;
	/** Flash units, unit 0 first. */
	readonly flash?: readonly Piece[];
	/**
	 * The firmware's last bytes below 1 MiB. With a BIOS ROM they are the ROM itself, and this is absent; flash has a copy
	 * there, so that the guest reads it in command mode, too.
	 */
	readonly lowBios?: Piece;
	/** 128 KiB that PCI space shows at C0000, empty at first. */
	readonly optionRom: Piece;
	/** Whether a VGA adapter decodes A0000..BFFFF. */
	readonly vga: boolean;
	/** The adapter's text buffer, 32 KiB at B8000, read and written directly. */
	readonly vgaText?: Piece;
}

/** @throws UserError unless a ROM of so many bytes can be placed; `name` is what the message calls it. */
export function checkBiosSize(name: string, size: number): void {
	if (size === 0) throw new UserError(`${name} is empty; a BIOS ROM has at least 64 KiB`);
	if (size % BIOS_UNIT !== 0) {
		throw new UserError(`${name} has ${size} bytes, which is not a multiple of 64 KiB as a BIOS ROM must be`);
	}
	if (size > BIOS_MAX) throw new UserError(`${name} has ${size / MIB} MiB; a BIOS ROM has at most 16 MiB`);
}

/** @throws UserError unless flash units of these sizes can be placed; see {@link checkBiosSize}. */
export function checkFlashSizes(units: readonly { readonly name: string; readonly size: number }[]): void {
	for (const { name, size } of units) {
		if (size === 0) throw new UserError(`${name} is empty; a flash image has at least one sector of 4096 bytes`);
		if (size % FLASH_SECTOR !== 0) {
			throw new UserError(`${name} has ${size} bytes, which is not a multiple of the flash sector, 4096 bytes`);
		}
	}
	const total = units.reduce((sum, { size }) => sum + size, 0);
	if (total > FLASH_MAX) {
		throw new UserError(
			`${units.map(({ name }) => name).join(" and ")}: ${total} bytes of flash; at most 8 MiB can be placed`,
		);
	}
}

/** How many bytes of a firmware image of `size` bytes appear below 1 MiB: the last 128 KiB. */
export function lowBiosSize(size: number): number {
	return Math.min(size, LOW_BIOS_MAX);
}

/** How much of `size` bytes of RAM lies below 4 GiB. */
export function lowRamSize(size: number): number {
	return size < RAM_SPLIT_FROM ? size : RAM_BELOW_SPLIT;
}

/** First address and size of a PAM segment. */
export function pamSegment(segment: number): { first: number; size: number } {
	assert(Number.isInteger(segment) && segment >= 0 && segment < PAM_SEGMENTS, `PAM segment ${segment}`);
	if (segment === 0) return { first: F_SEGMENT, size: ONE_MIB - F_SEGMENT };
	return { first: PAM_AREA + (segment - 1) * 16 * KIB, size: 16 * KIB };
}

interface PamRegions {
	readonly pci: Region;
	readonly ram: Region;
	readonly locked: Region;
}

/**
 * Guest-physical memory of the `pc` board (82441FX with PIIX3; names and priorities are those of QEMU's): RAM at priority 0
 * over PCI space at -1, windows of PCI space over RAM where PAM and SMRAM ask for it, firmware at the end of the first 4 GiB.
 */
export class MemoryMap {
	readonly topology = new Topology();
	readonly space: AddressSpace;
	readonly ram: Region;
	/** Device windows. `vga` is absent where nothing decodes it. */
	readonly ioapic: Region;
	readonly hpet: Region;
	readonly apicMsi: Region;
	readonly vga: Region | undefined;
	readonly flash: readonly Region[];
	private readonly flashPlaces: { readonly first: number; readonly size: number }[] = [];
	private readonly system: Region;
	private readonly pci: Region;
	private readonly smram: Region;
	/** The local APIC's registers, where software has moved them. */
	readonly movedApic: Region;
	private readonly pam: readonly PamRegions[];

	/** @throws UserError naming both, where firmware would lie over something else. */
	constructor({ ram, bios, flash = [], lowBios, optionRom, vga, vgaText }: MemoryMapOptions) {
		assert(ram.size >= MIB && optionRom.size === OPTION_ROM_SIZE, "sizes");
		this.system = this.region("system", 2n ** 64n, { kind: "container" });
		this.pci = this.region("pci", 2n ** 64n, { kind: "container" });
		this.system.add(this.pci, 0, { priority: -1 });
		this.ram = this.memory("pc.ram", "ram", ram);
		this.addRam(ram.size);
		this.ioapic = this.device(this.system, "ioapic", IOAPIC, 4 * KIB);
		this.hpet = this.device(this.system, "hpet", HPET, KIB);
		this.apicMsi = this.device(this.system, "apic-msi", APIC_MSI, MIB, { priority: 4096 });
		this.movedApic = this.device(this.system, "lapic", APIC_MSI, APIC_PAGE, { priority: 4097 });
		this.movedApic.setEnabled(false);
		this.vga = vga
			? this.device(this.pci, "vga-lowmem", VGA_WINDOW, VGA_WINDOW_SIZE, { priority: 1, overlap: true })
			: undefined;
		if (vgaText !== undefined) {
			const region = this.memory("vga-text", "ram", vgaText);
			this.pci.add(region, VGA_TEXT, { priority: 2, overlap: true });
		}
		this.addLow(optionRom, lowBios);
		this.flash = this.addFirmware(bios, flash);
		this.smram = this.window("smram-region", this.pci, VGA_WINDOW, VGA_WINDOW_SIZE);
		this.pam = Array.from({ length: PAM_SEGMENTS }, (_, segment) => this.addPam(segment));
		this.space = new AddressSpace(this.topology, this.system);
	}

	/**
	 * What a PAM segment shows: PCI space (reads and writes off), RAM that cannot be written (reads on), or RAM. Reads off
	 * and writes on shows RAM, as in QEMU; guests do not use it (the hardware would read from PCI).
	 */
	setPam(segment: number, read: boolean, write: boolean): void {
		const regions = this.pam[segment];
		assert(regions !== undefined, `PAM segment ${segment}`);
		this.topology.transaction(() => {
			regions.pci.setEnabled(!read && !write);
			regions.locked.setEnabled(read && !write);
			regions.ram.setEnabled(write);
		});
	}

	/** Whether A0000..BFFFF shows RAM (SMRAM open) or PCI space with the VGA adapter. */
	setSmram(open: boolean): void {
		this.smram.setEnabled(!open);
	}

	/** Whether a flash unit is read directly (array mode) or answers reads itself. */
	setRomd(unit: number, direct: boolean): void {
		const region = this.flash[unit];
		assert(region !== undefined, `flash unit ${unit}`);
		region.setDirect(direct);
	}

	/**
	 * Where the local APIC's registers are; undefined while it is switched off. At 0xFEE00000, where they are at first, they are part
	 * of {@link apicMsi}.
	 */
	placeApic(address: number | undefined): void {
		this.topology.transaction(() => {
			const moved = address !== undefined && address !== APIC_MSI;
			this.movedApic.setEnabled(moved);
			if (moved) this.movedApic.move(address);
		});
	}

	/** Registers at a fixed place, over whatever firmware may be there. */
	addDevice(name: string, base: number, size: number): Region {
		return this.device(this.system, name, base, size, { priority: 1, overlap: true });
	}

	/** Puts memory registers behind a base address register into PCI space, nowhere at first; see {@link placeBar}. */
	addBar(name: string, size: number): Region {
		const region = this.region(name, size, { kind: "mmio" });
		region.setEnabled(false);
		this.pci.add(region, 0, { priority: 1, overlap: true });
		return region;
	}

	/** Moves a region of {@link addBar}, or takes it away. The guest may put it anywhere. */
	placeBar(region: Region, base: number | undefined): void {
		this.topology.transaction(() => {
			region.setEnabled(base !== undefined);
			if (base !== undefined) region.move(base);
		});
	}

	/** What the guest sees at an address below 2^53, or undefined where there is nothing. */
	find(address: number): FlatRange | undefined {
		return this.space.view.find(gpa(address));
	}

	/** Where a flash unit lies. */
	flashAt(unit: number): { readonly first: number; readonly size: number } {
		const place = this.flashPlaces[unit];
		assert(place !== undefined, `flash unit ${unit}`);
		return place;
	}

	/** What a refused store at an address hit, for people: `bios`, `option rom`, `pam f0000`, `flash 0`. */
	romName(address: number): string {
		const region = this.find(address)?.region;
		if (region === this.ram) {
			const segment = Array.from({ length: PAM_SEGMENTS }, (_, i) => pamSegment(i)).find(
				({ first, size }) => address >= first && address < first + size,
			);
			return `pam ${(segment?.first ?? address).toString(16)}`;
		}
		const unit = region === undefined ? -1 : this.flash.indexOf(region);
		if (unit >= 0) return `flash ${unit}`;
		return region?.name === "pc.rom" ? "option rom" : "bios";
	}

	private region(name: string, size: bigint | number, body: RegionBody): Region {
		return new Region(this.topology, name, size, body);
	}

	private memory(name: string, kind: "ram" | "rom" | "romd", { size, userspaceAddr }: Piece): Region {
		return this.region(name, size, { kind, userspaceAddr });
	}

	private device(parent: Region, name: string, offset: number, size: number, placement: Placement = {}): Region {
		const region = this.region(name, size, { kind: "mmio" });
		parent.add(region, offset, placement);
		return region;
	}

	/** A window at `first` on the same addresses of `target`, above RAM. */
	private window(name: string, target: Region, first: number, size: number, readonly = false): Region {
		const region = this.region(name, size, { kind: "alias", target, offset: BigInt(first), readonly });
		this.system.add(region, first, { priority: 1, overlap: true });
		return region;
	}

	private addRam(size: number): void {
		const below = lowRamSize(size);
		this.system.add(this.region("ram-below-4g", below, { kind: "alias", target: this.ram, offset: 0n }), 0);
		if (size === below) return;
		const rest: RegionBody = { kind: "alias", target: this.ram, offset: BigInt(below) };
		this.system.add(this.region("ram-above-4g", size - below, rest), FOUR_GIB);
	}

	private addLow(optionRom: Piece, lowBios: Piece | undefined): void {
		this.pci.add(this.memory("pc.rom", "rom", optionRom), PAM_AREA, { priority: 1 });
		if (lowBios === undefined) return;
		this.pci.add(this.memory("isa-bios", "rom", lowBios), ONE_MIB - lowBios.size, { priority: 1 });
	}

	/** From 4 GiB downwards: the ROM, flash unit 0, flash unit 1. */
	private addFirmware(bios: Piece | undefined, flash: readonly Piece[]): Region[] {
		let end = FOUR_GIB;
		const below = (name: string, size: number): number => {
			end -= size;
			this.refuseOverlap(name, rangeOf(end, size));
			return end;
		};
		if (bios !== undefined) {
			const rom = this.memory("pc.bios", "rom", bios);
			this.pci.add(rom, below("the BIOS ROM", bios.size));
			const size = lowBiosSize(bios.size);
			const tail: RegionBody = { kind: "alias", target: rom, offset: BigInt(bios.size - size), readonly: true };
			this.pci.add(this.region("isa-bios", size, tail), ONE_MIB - size, { priority: 1 });
		}
		return flash.map((unit, i) => {
			const region = this.memory(`system.flash${i}`, "romd", unit);
			const first = below(`flash unit ${i}`, unit.size);
			this.system.add(region, first);
			this.flashPlaces.push({ first, size: unit.size });
			return region;
		});
	}

	private refuseOverlap(name: string, range: GpaRange): void {
		for (const [other, place] of [
			["the local APIC", rangeOf(APIC_MSI, MIB)],
			["the I/O APIC", rangeOf(IOAPIC, 4 * KIB)],
			["the HPET", rangeOf(HPET, KIB)],
		] as const) {
			if (!rangesOverlap(range, place)) continue;
			throw new UserError(
				`${name} at ${formatRange(range)} overlaps ${other} at ${formatRange(place)}: the firmware images are too large together`,
			);
		}
	}

	private addPam(segment: number): PamRegions {
		const { first, size } = pamSegment(segment);
		const regions = {
			pci: this.window("pam-pci", this.pci, first, size),
			ram: this.window("pam-ram", this.ram, first, size),
			locked: this.window("pam-rom", this.ram, first, size, true),
		};
		regions.ram.setEnabled(false);
		regions.locked.setEnabled(false);
		return regions;
	}
}
