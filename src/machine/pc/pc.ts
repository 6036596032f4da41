import { closeAll } from "../../base/close-all.ts";
import { assert } from "../../base/errors.ts";
import type { Clock, PowerControl } from "../../bus/device.ts";
import type { MemoryRange, RomStore } from "../../bus/mmio-bus.ts";
import type { MachineConfig } from "../../config/index.ts";
import { GPE0_BASE, GPE0_LENGTH, SLEEP_TYPE_S4, SLEEP_TYPE_S5 } from "../../devices/pci/piix4-pm.ts";
import { VGA_LAST_PORT, VGA_PORTS, VgaText } from "../../devices/vga-text.ts";
import type { HostBuffer } from "../../kvm/backing.ts";
import type { Vm } from "../../kvm/vm.ts";
import type { Board, Mmio, Ports } from "../board.ts";
import { fillCmos } from "../cmos.ts";
import type { PcDescription } from "../firmware/description.ts";
import { provideFirmwareItems } from "../firmware/items.ts";
import { checkFirmwareEntry, provideKernelItems, ROM_BOOT_PATH } from "../firmware/kernel-items.ts";
import { GuestMemory, type RefusedDma } from "../guest-memory.ts";
import { readKernel, readModules } from "../kernel-files.ts";
import { lowRamSize, type MemoryMap } from "../memory-map.ts";
import type { FlashActivity, MachineHost } from "../outcome.ts";
import type { Trace } from "../trace.ts";
import { ApicWindow } from "./apic-window.ts";
import { Drives } from "./drives.ts";
import { Interrupts, type ProcessorPins } from "./interrupts.ts";
import { addDebugExit, addTestDevice, IsaDevices } from "./isa.ts";
import { PcMemory } from "./memory.ts";
import { PciFunctions } from "./pci.ts";
import { PortSpace } from "./port-space.ts";
import { SERIAL_PORTS } from "./serial.ts";
import { fwCfg, pciBus, tracedMmio, tracedPorts } from "./traced.ts";
import { Typist } from "./typist.ts";

/** CMOS byte that tells firmware what the processor was reset for; 0: power-on. */
const CMOS_SHUTDOWN = 0x0f;

/** What the board asks of the machine around it. */
export interface PcParts {
	readonly vm: Vm;
	readonly clock: Clock;
	readonly power: PowerControl;
	readonly cpu: ProcessorPins;
	readonly host: Pick<MachineHost, "serial" | "debugcon" | "keyboard" | "flash">;
	/** The board runs beside another one: files are read and never written. */
	readonly shadow: boolean;
	readonly romStore: RomStore;
	/** Told when the host does not take what the guest has changed in its flash. */
	readonly unsaved: (problem: string) => void;
	/** Told of stores by bus masters that memory refused. */
	readonly dmaRefused: (device: string, ...refused: Parameters<RefusedDma>) => void;
	readonly trace: Trace;
	/** CPUID leaf 1: EAX and EDX. */
	readonly cpuSignature: number;
	readonly cpuFeatures: number;
	/** The machine's version, for people. */
	readonly version: string;
	/** The date at power-on, milliseconds since 1970 UTC. */
	readonly startUtcMs: number;
}

/** The `pc` board: i440FX, PIIX3 and PIIX4 with the ISA devices, their wiring, and the memory slots that follow from them. */
export class Pc implements Board {
	readonly ports: Ports;
	readonly mmio: Mmio;
	readonly interrupts: Interrupts;
	readonly vga: VgaText | undefined;
	readonly isa: IsaDevices;
	/** What firmware, or the kernel, is told about the board. */
	readonly description: PcDescription;
	private readonly memory: PcMemory;
	private readonly drives: Drives;
	private readonly space = new PortSpace();

	/** @throws UserError for firmware that cannot be read or placed, and for a debug-exit port that is taken. */
	constructor(config: MachineConfig, parts: PcParts) {
		const { clock, power, cpu, host, trace } = parts;
		const { space } = this;
		const memory = new PcMemory(config, parts);
		const { map } = memory;
		this.memory = memory;
		this.drives = this.openDrives(config, parts);
		this.ports = tracedPorts(space.bus, trace("ports"));
		this.mmio = tracedMmio(memory.mmio, (address) => map.find(address)?.region.name ?? "nobody", trace("mmio"));
		try {
			const apicMoved = (address: number | undefined): void => {
				map.placeApic(address);
				apicWindow.moved(address);
			};
			const interrupts = new Interrupts(space, { clock, power, cpu, apicMoved });
			const apicWindow = new ApicWindow(interrupts.lapic, interrupts.bus);
			this.interrupts = interrupts;
			this.isa = new IsaDevices(space, {
				clock,
				power,
				interrupts,
				cpu,
				debugcon: host.debugcon,
				serial: host.serial.slice(0, config.serial.length),
				startUtcMs: parts.startUtcMs,
			});
			const bus = pciBus(trace("pci"));
			const serialPorts = config.serial.length;
			const dma = new GuestMemory(parts.vm, (...refused) => parts.dmaRefused("IDE", ...refused));
			const drives = this.drives.channels;
			const pci = new PciFunctions(space, { bus, map, clock, power, interrupts, serialPorts, dma, drives });
			if (host.keyboard) new Typist(this.isa.i8042.keyboard, host.keyboard, clock);
			this.description = describe(config, parts, pci);
			this.addFirmwareItems(config, parts);
			this.vga = this.addVga(clock);
			if (hasTestDevice(config)) addTestDevice(space, memory, interrupts);
			addDebugExit(space, config.debugExitPort, power);
			for (const { device } of memory.flash) space.own(device);
			memory.connect(map.ioapic, interrupts.ioapic);
			memory.connect(map.hpet, this.isa.hpet);
			memory.connect(map.apicMsi, apicWindow);
			memory.connect(map.movedApic, interrupts.lapic);
		} catch (error) {
			this.close();
			throw error;
		}
		memory.follow(config.dirtyLog !== undefined);
	}

	/** What the guest's RAM holds. */
	get ram(): HostBuffer {
		return this.memory.ram;
	}

	/** See {@link MmioBus.rom}. */
	rom(address: number): MemoryRange | undefined {
		return this.memory.mmio.rom(address);
	}

	/** What is where in guest-physical memory. */
	get memoryMap(): MemoryMap {
		return this.memory.map;
	}

	/** What people call the ROM at an address; see {@link MemoryMap.romName}. */
	romName(address: number): string {
		return this.memory.map.romName(address);
	}

	/** Where a flash unit lies. */
	flashAt(unit: number): { readonly first: number; readonly size: number } {
		return this.memory.map.flashAt(unit);
	}

	/** Whether the guest has left word for its firmware that a reset of the processor is meant to come. */
	get expectsReset(): boolean {
		return this.isa.rtc.cmos(CMOS_SHUTDOWN) !== 0;
	}

	/** What each flash unit has been through. */
	get flashActivity(): FlashActivity[] {
		return this.memory.flash.map(({ activity }) => activity);
	}

	/** See RunningMachine. */
	flashCells(unit: number): Uint8Array {
		const flash = this.memory.flash[unit];
		assert(flash !== undefined, `flash unit ${unit}`);
		return flash.buffer.view;
	}

	/** Every device as after power-on; memory, time and CMOS memory stay. */
	reset(): void {
		const { topology } = this.memory.map;
		topology.transaction(() => {
			for (const device of this.space.devices) device.reset();
		});
		this.memory.sync();
	}

	/** Flash contents reach the disk. */
	sync(): void {
		this.memory.sync();
	}

	/** Everything reaches the disk, and files are closed. May be called repeatedly. */
	close(): void {
		closeAll([this.memory, this.drives]);
	}

	private openDrives(config: MachineConfig, parts: PcParts): Drives {
		try {
			return new Drives(config, parts);
		} catch (error) {
			this.memory.close();
			throw error;
		}
	}

	private addFirmwareItems(config: MachineConfig, parts: PcParts): void {
		const { lowRam, highRam } = this.description;
		fillCmos(this.isa.rtc, lowRam, highRam);
		const memory = new GuestMemory(parts.vm, (...refused) => parts.dmaRefused("fw_cfg", ...refused));
		const items = fwCfg(memory, parts.trace("fw-cfg"));
		this.space.place(0x510, 2, items);
		this.space.place(0x514, 8, items.dma);
		provideFirmwareItems(items, this.description);
		const { kernel } = config;
		if (kernel === undefined || !hasFirmware(config)) return;
		checkFirmwareEntry(config);
		const [initrd] = readModules(config, "one");
		const bytes = readKernel(kernel, config);
		provideKernelItems(items, { path: kernel, bytes, commandLine: config.append ?? "", initrd, lowRam });
	}

	private addVga(clock: Clock): VgaText | undefined {
		const { vgaText } = this.memory;
		if (vgaText === undefined) return undefined;
		const vga = new VgaText({ clock, memory: () => vgaText.view });
		this.space.place(VGA_PORTS, VGA_LAST_PORT - VGA_PORTS + 1, vga);
		return vga;
	}
}

/** Whether the machine starts in firmware; otherwise it starts in its kernel. */
export function hasFirmware({ bios, flash }: Pick<MachineConfig, "bios" | "flash">): boolean {
	return bios !== undefined || flash.length > 0;
}

/** Kernels that end by QEMU's encoding are tests written for QEMU: they have the device without asking for it. */
function hasTestDevice(config: MachineConfig): boolean {
	const isTest = config.kernel !== undefined && config.debugExitEncoding === "qemu";
	return isTest || config.devices.includes("pc-testdev");
}

function describe(config: MachineConfig, parts: PcParts, { pm }: PciFunctions): PcDescription {
	const { memoryBytes, serial } = config;
	const lowRam = lowRamSize(memoryBytes);
	return {
		lowRam,
		highRam: memoryBytes - lowRam,
		cpus: 1,
		cpuSignature: parts.cpuSignature,
		cpuFeatures: parts.cpuFeatures,
		pmBase: () => pm.pmBase,
		gpe0: { base: GPE0_BASE, length: GPE0_LENGTH },
		sleepTypes: [
			[4, SLEEP_TYPE_S4],
			[5, SLEEP_TYPE_S5],
		],
		serialPorts: SERIAL_PORTS.slice(0, serial.length).map((port, n) => ({ number: n + 1, ...port })),
		keyboard: true,
		mouse: true,
		hpet: true,
		version: parts.version,
		bootOrder: config.kernel === undefined ? [] : [ROM_BOOT_PATH],
		bootFailWaitMs: undefined,
	};
}
