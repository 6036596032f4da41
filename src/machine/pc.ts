import { assert, UserError } from "../base/errors.ts";
import type { ByteSink, Device, IrqLine, PowerControl } from "../bus/device.ts";
import { fanOut, OrLine } from "../bus/lines.ts";
import { MmioBus, type MmioRange, type RomStore } from "../bus/mmio-bus.ts";
import { devfn, PciBus } from "../bus/pci.ts";
import { byteInside, RangeBus } from "../bus/range-bus.ts";
import type { MachineConfig } from "../config/index.ts";
import { DebugExit } from "../devices/debug-exit.ts";
import { DebugCon } from "../devices/debugcon.ts";
import { FwCfg } from "../devices/fw-cfg.ts";
import { I8042 } from "../devices/i8042.ts";
import { IoApic } from "../devices/ioapic.ts";
import { LocalApic } from "../devices/lapic.ts";
import { ApicBus } from "../devices/lapic-bus.ts";
import { PciConfigAddress, PciConfigData } from "../devices/pci/config-ports.ts";
import { I440fx } from "../devices/pci/i440fx.ts";
import { Piix3Ide } from "../devices/pci/piix3-ide.ts";
import { Piix3Isa } from "../devices/pci/piix3-isa.ts";
import {
	GPE0_BASE,
	GPE0_LENGTH,
	Piix4Pm,
	PM_BLOCK_SIZE,
	SLEEP_TYPE_S4,
	SLEEP_TYPE_S5,
} from "../devices/pci/piix4-pm.ts";
import { FlashArray } from "../devices/pflash-array.ts";
import { PflashCfi01 } from "../devices/pflash-cfi01.ts";
import { Pic8259Pair } from "../devices/pic8259-pair.ts";
import { Pit8254 } from "../devices/pit8254.ts";
import { Port61 } from "../devices/port61.ts";
import { Port92 } from "../devices/port92.ts";
import { PostPort } from "../devices/post.ts";
import { ResetControl } from "../devices/reset-control.ts";
import { Rtc } from "../devices/rtc.ts";
import { Uart16550 } from "../devices/uart16550.ts";
import { FlashFile } from "../host/flash-file.ts";
import { readImage } from "../host/read-file.ts";
import type { HostBuffer } from "../kvm/backing.ts";
import { PlannedSlots } from "../kvm/memslots-planned.ts";
import type { Vm } from "../kvm/vm.ts";
import { planSlots } from "../memory/slot-plan.ts";
import { fillCmos } from "./cmos.ts";
import { provideFirmwareItems } from "./firmware/items.ts";
import type { GuestClock } from "./guest-clock.ts";
import { GuestMemory } from "./guest-memory.ts";
import { checkBiosSize, checkFlashSizes, lowBiosSize, MemoryMap, type Piece, SLOT_SPLITS } from "./memory-map.ts";
import type { FlashActivity, SerialLine } from "./outcome.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const FLASH_SECTOR = 4096;
const FLASH_LIMIT = 8 * MIB;
const BIOS_LIMIT = 16 * MIB;

/** Ports and ISA interrupts of the serial ports, COM1 first. */
const SERIAL_PORTS = [
	{ base: 0x3f8, irq: 4 },
	{ base: 0x2f8, irq: 3 },
	{ base: 0x3e8, irq: 4 },
	{ base: 0x2e8, irq: 3 },
] as const;

/** What the board asks of the machine around it. */
export interface PcParts {
	readonly vm: Vm;
	readonly clock: GuestClock;
	readonly power: PowerControl;
	readonly serial: readonly SerialLine[];
	readonly debugcon: ByteSink;
	readonly romStore: RomStore;
	/** The processor's side: its interrupt line, NMI, A20 (true: addresses as they are). */
	readonly interrupt: IrqLine;
	readonly nmi: () => void;
	readonly a20: (open: boolean) => void;
	/** CPUID leaf 1: EAX and EDX. */
	readonly cpuSignature: number;
	readonly cpuFeatures: number;
	readonly version: string;
	/** Host milliseconds since 1970, for `--rtc utc`. */
	readonly hostUtcMs: number;
}

interface FlashUnit {
	readonly device: PflashCfi01;
	readonly file: FlashFile;
	readonly buffer: HostBuffer;
}

/** The `pc` board: i440FX, PIIX3 and PIIX4 with the ISA devices, their wiring, and the memory slots that follow from them. */
export class Pc {
	readonly ports = new RangeBus("ports", 0x10000);
	readonly mmio: MmioBus;
	readonly map: MemoryMap;
	readonly memory: GuestMemory;
	readonly lapic: LocalApic;
	readonly ram: HostBuffer;
	readonly uarts: Uart16550[] = [];
	private readonly devices: Device[] = [];
	private readonly flash: FlashUnit[] = [];
	private readonly bios: HostBuffer | undefined;
	private readonly parts: PcParts;
	private readonly lowBios: HostBuffer | undefined;

	constructor(config: MachineConfig, parts: PcParts) {
		this.parts = parts;
		const { vm } = parts;
		this.memory = new GuestMemory(vm);
		const bios = config.bios === undefined ? undefined : readImage(config.bios, "--bios", BIOS_LIMIT);
		if (bios) checkBiosSize(`--bios: ${config.bios}`, bios.length);
		else if (config.flash.length === 0) throw new UserError("nothing to boot: give --bios FILE or --flash FILE");
		const files = config.flash.map(
			({ path, readonly }) =>
				new FlashFile(path, { what: "--flash", readonly, sectorSize: FLASH_SECTOR, limit: FLASH_LIMIT }),
		);
		try {
			checkFlashSizes(files.map((file, i) => ({ name: `--flash: ${config.flash[i]?.path}`, size: file.size })));
			this.ram = vm.allocate(config.memoryBytes);
			this.bios = bios && this.loaded(bios);
			const flashBuffers = files.map((file) => {
				const buffer = vm.allocate(file.size);
				file.load(buffer.view);
				return buffer;
			});
			const [first] = flashBuffers;
			this.lowBios =
				!bios && first ? this.loaded(first.view.slice(first.view.length - lowBiosSize(first.view.length))) : undefined;
			const lowBios = this.lowBios;
			this.map = new MemoryMap({
				ram: piece(this.ram),
				...(this.bios ? { bios: piece(this.bios) } : {}),
				flash: flashBuffers.map(piece),
				...(lowBios ? { lowBios: piece(lowBios) } : {}),
				optionRom: piece(vm.allocate(128 * KIB)),
				vga: false,
			});
			flashBuffers.forEach((buffer, i) => {
				this.addFlash(i, buffer, files[i]!, config.flash[i]!.readonly);
			});
		} catch (error) {
			for (const file of files) file.close();
			throw error;
		}
		this.mmio = new MmioBus(parts.romStore);
		this.lapic = this.wire(config);
		this.followMemory();
	}

	private loaded(image: Uint8Array): HostBuffer {
		const buffer = this.parts.vm.allocate(image.length);
		buffer.view.set(image);
		return buffer;
	}

	private addFlash(unit: number, buffer: HostBuffer, file: FlashFile, readonly: boolean): void {
		const { vm } = this.parts;
		const store = {
			write: (offset: number, length: number): void => {
				vm.written(buffer.offset + offset, length);
				file.write(offset, length);
			},
			flush: (): void => file.flush(),
		};
		const array = new FlashArray(buffer.view, FLASH_SECTOR, store, readonly);
		const device = new PflashCfi01(`system.flash${unit}`, array, {
			setDirect: (on) => this.map.setRomd(unit, on),
		});
		this.flash.push({ device, file, buffer });
		this.devices.push(device);
	}

	/** All devices but flash, with their ports and lines. */
	private wire(config: MachineConfig): LocalApic {
		const { clock, power, vm } = this.parts;
		const { ports } = this;
		const apicBus = new ApicBus();
		const ioapic = new IoApic(apicBus);
		const pic: Pic8259Pair = new Pic8259Pair({ set: (high) => lapic.lint0.set(high) });
		const lapic: LocalApic = new LocalApic({
			id: 0,
			bootstrap: true,
			clock,
			bus: apicBus,
			pic,
			cpu: {
				interrupt: this.parts.interrupt,
				nmi: this.parts.nmi,
				smi: () => {},
				init: () => power.reset("init"),
				startup: () => {},
			},
		});
		// An ISA interrupt goes to both controllers; the timer's is input 2 of the I/O APIC. Several devices share one line.
		const isaLines = Array.from(
			{ length: 16 },
			(_, irq) => new OrLine(fanOut(pic.line(irq), ioapic.line(irq === 0 ? 2 : irq))),
		);
		const irq = (n: number): IrqLine => isaLines[n]!.input();
		const a20 = new OrLine({ set: (open) => this.parts.a20(open) });

		const pit = new Pit8254({ clock, irq: irq(0) });
		const rtc = new Rtc({
			clock,
			irq: irq(8),
			startUtcMs: config.rtc === "utc" ? this.parts.hostUtcMs : config.rtc,
		});
		const i8042 = new I8042({ clock, keyboardIrq: irq(1), mouseIrq: irq(12), a20: a20.input(), power });
		const port92 = new Port92({ a20: a20.input(), power });
		const post = new PostPort({ write: () => {} });
		const debugcon = new DebugCon(this.parts.debugcon);
		const port61 = new Port61({ counter: pit.speaker, clock });

		const place = (base: number, count: number, device: Device, offset = 0): void =>
			ports.map(base, base + count - 1, device, offset);
		place(0x20, 2, pic, Pic8259Pair.MASTER);
		place(0xa0, 2, pic, Pic8259Pair.SLAVE);
		place(0x4d0, 2, pic, Pic8259Pair.ELCR);
		place(0x40, 4, pit);
		place(0x60, 1, i8042, 0);
		place(0x64, 1, i8042, 4);
		place(0x61, 1, port61);
		place(0x70, 2, rtc);
		place(0x80, 1, post);
		place(0x92, 1, port92);
		place(0xe9, 1, debugcon);
		place(0x402, 1, debugcon);
		config.serial.slice(0, SERIAL_PORTS.length).forEach((_, n) => {
			this.addSerial(n, irq(SERIAL_PORTS[n]!.irq));
		});
		if (config.debugExitPort !== "off") {
			const { debugExitPort } = config;
			const taken = ports.overlapping(debugExitPort, debugExitPort + DebugExit.PORTS - 1);
			if (taken)
				throw new UserError(`--debug-exit: port 0x${debugExitPort.toString(16)} belongs to ${taken.device.name}`);
			const exit = new DebugExit(power);
			place(debugExitPort, DebugExit.PORTS, exit);
			this.devices.push(exit);
		}

		const pci = new PciBus();
		const host = new I440fx(
			{ set: (segment, read, write) => this.map.setPam(segment, read, write) },
			{ set: (open) => this.map.setSmram(open) },
		);
		const isa = new Piix3Isa(isaLines.map((line) => line.input()));
		const ideWindow = { place: (base: number | undefined): void => idePlacer?.place(base) };
		const ide = new Piix3Ide(ideWindow);
		const idePlacer: { place(base: number | undefined): void } | undefined = ports.window(16, ide.busMasterRegisters);
		const pmWindow = { place: (base: number | undefined): void => pmPlacer?.place(base) };
		const pm = new Piix4Pm({
			clock,
			power,
			sci: irq(9),
			window: pmWindow,
			legacy: { lpt1: false, com1: config.serial.length > 0, com2: config.serial.length > 1 },
		});
		const pmPlacer: { place(base: number | undefined): void } | undefined = ports.window(PM_BLOCK_SIZE, pm.registers);
		pci.attach(devfn(0, 0), host);
		pci.attach(devfn(1, 0), isa);
		pci.attach(devfn(1, 1), ide);
		pci.attach(devfn(1, 3), pm);
		const address = new PciConfigAddress();
		const data = new PciConfigData(address, pci);
		const resetControl = new ResetControl(power);
		ports.map(0xcf8, 0xcfb, byteInside(address, 1, resetControl));
		place(0xcfc, 4, data);
		place(0x1f0, 8, ide.primary);
		place(0x3f6, 1, ide.primary.control);
		place(0x170, 8, ide.secondary);
		place(0x376, 1, ide.secondary.control);
		place(0xb2, 2, pm.apm);
		place(GPE0_BASE, GPE0_LENGTH, pm.gpe0);

		const fwCfg = new FwCfg(this.memory);
		place(0x510, 2, fwCfg);
		place(0x514, 8, fwCfg.dma);
		const { memoryBytes } = config;
		const lowRam = memoryBytes < 3584 * MIB ? memoryBytes : 3072 * MIB;
		fillCmos(rtc, lowRam, memoryBytes - lowRam);
		provideFirmwareItems(fwCfg, {
			lowRam,
			highRam: memoryBytes - lowRam,
			cpus: 1,
			cpuSignature: this.parts.cpuSignature,
			cpuFeatures: this.parts.cpuFeatures,
			pmBase: () => pm.pmBase,
			gpe0: { base: GPE0_BASE, length: GPE0_LENGTH },
			sleepTypes: [
				[4, SLEEP_TYPE_S4],
				[5, SLEEP_TYPE_S5],
			],
			serialPorts: config.serial
				.slice(0, SERIAL_PORTS.length)
				.map((_, n) => ({ number: n + 1, base: SERIAL_PORTS[n]!.base, irq: SERIAL_PORTS[n]!.irq })),
			keyboard: true,
			mouse: true,
			hpet: false,
			version: this.parts.version,
			bootOrder: [],
			bootFailWaitMs: undefined,
		});
		this.devices.push(
			...[pic, ioapic, lapic, pit, rtc, i8042, port92, post, debugcon, port61, host, isa, ide, pm],
			...[address, resetControl, fwCfg, fwCfg.dma],
		);
		this.ioapicDevice = ioapic;
		void vm;
		return lapic;
	}

	private ioapicDevice: IoApic | undefined;

	private addSerial(n: number, irq: IrqLine): void {
		const line = this.parts.serial[n];
		const place = SERIAL_PORTS[n];
		assert(line && place, `serial port ${n}`);
		const { input } = line;
		const feed = (): void => {
			while (input && uart.room > 0) {
				const bytes = input.take(uart.room);
				if (bytes.length === 0) return;
				uart.receive(bytes);
			}
		};
		const uart: Uart16550 = new Uart16550({ irq, sink: line.output, clock: this.parts.clock, roomMade: () => feed() });
		input?.onArrival(feed);
		this.ports.map(place.base, place.base + 7, uart);
		this.uarts.push(uart);
		this.devices.push(uart);
	}

	/** Keeps slots and MMIO ranges equal to the flat view. */
	private followMemory(): void {
		const { vm } = this.parts;
		const planned = new PlannedSlots(vm.slots);
		const bufferOf = new Map<bigint, HostBuffer>();
		for (const buffer of [this.ram, this.bios, this.lowBios, ...this.flash.map((unit) => unit.buffer)]) {
			if (buffer) bufferOf.set(buffer.userspaceAddr, buffer);
		}
		this.map.space.follow((view) => {
			planned.apply(planSlots(view.ranges, SLOT_SPLITS));
			const ranges: MmioRange[] = [];
			for (const range of view.ranges) {
				if (range.last >= 1n << 52n) continue;
				const [first, last] = [Number(range.first), Number(range.last)];
				const device = this.deviceOf(range.region.name);
				const offset = Number(range.offset);
				if (device) {
					ranges.push({ first, last, target: { kind: "device", device, offset } });
					continue;
				}
				const { body } = range.region;
				if (body.kind !== "ram" && body.kind !== "rom") continue;
				const bytes = bufferOf.get(body.userspaceAddr)?.view.subarray(offset);
				if (bytes) ranges.push({ first, last, target: { kind: "memory", bytes, writable: !range.readonly } });
			}
			this.mmio.setRanges(ranges);
		});
	}

	private deviceOf(region: string): Device | undefined {
		if (region === "ioapic") return this.ioapicDevice;
		if (region === "apic-msi") return this.lapic;
		const unit = /^system\.flash(\d)$/.exec(region)?.[1];
		return unit === undefined ? undefined : this.flash[Number(unit)]?.device;
	}

	/** Every device as after power-on. */
	reset(): void {
		for (const device of this.devices) device.reset();
		for (const { file } of this.flash) file.flush();
	}

	/** What each flash unit has been through. */
	flashActivity(): FlashActivity[] {
		return this.flash.map(({ device }) => {
			const { romdSwitches, erasedBlocks, programmedBytes } = device.statistics;
			return { romdSwitches, erasedBlocks, programmedBytes };
		});
	}

	/** Everything reaches the disk. */
	close(): void {
		for (const { file } of this.flash) file.close();
	}
}

function piece({ view, userspaceAddr }: HostBuffer): Piece {
	return { size: view.length, userspaceAddr };
}
