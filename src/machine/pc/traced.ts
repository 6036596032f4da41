import type { AccessSize } from "../../bus/device.ts";
import type { MmioAccess, MmioBus } from "../../bus/mmio-bus.ts";
import { PciBus, pciName } from "../../bus/pci.ts";
import type { BusTarget, RangeBus } from "../../bus/range-bus.ts";
import { FW_CFG, FwCfg, type FwCfgContent } from "../../devices/fw-cfg.ts";
import type { RomdControl } from "../../devices/pflash.ts";
import type { Mmio, Ports } from "../board.ts";
import { hex, type Trace, type TraceLine } from "../trace.ts";

/** Bit 31 of port 0xcf8, and so of a configuration address. */
const PCI_ENABLE = 0x80000000;

/** The ports, saying every access where that is wanted. */
export function tracedPorts(ports: RangeBus, say: TraceLine | undefined): Ports {
	if (say === undefined) return ports;
	const name = (port: number): string => ports.overlapping(port, port)?.device.name ?? "nobody";
	return {
		read(port, size) {
			const value = ports.read(port, size);
			say("in", { port: hex(port, 2), value: hex(value, size), device: name(port) }, port, port + size - 1);
			return value;
		},
		write(port, size, value) {
			say("out", { port: hex(port, 2), value: hex(value, size), device: name(port) }, port, port + size - 1);
			ports.write(port, size, value);
		},
	};
}

/** Memory without slots, saying every access where that is wanted. `nameAt`: what is at an address, for people. */
export function tracedMmio(mmio: MmioBus, nameAt: (address: number) => string, say: TraceLine | undefined): Mmio {
	if (say === undefined) return mmio;
	return {
		dispatch(access: MmioAccess) {
			const { physAddr, len, isWrite, data } = access;
			const event = (): void => {
				const value = `0x${Buffer.from(data.slice(0, len)).reverse().toString("hex")}`;
				const fields = { gpa: hex(physAddr, 4), value, device: nameAt(physAddr) };
				say(isWrite ? "write" : "read", fields, physAddr, physAddr + len - 1);
			};
			if (isWrite) event();
			mmio.dispatch(access);
			if (!isWrite) event();
		},
	};
}

/** A PCI bus that says every configuration access where that is wanted. */
export function pciBus(say: TraceLine | undefined): PciBus {
	return say === undefined ? new PciBus() : new TracedPciBus(say);
}

class TracedPciBus extends PciBus {
	private readonly say: TraceLine;

	constructor(say: TraceLine) {
		super();
		this.say = say;
	}

	override readConfig(devfn: number, offset: number, size: AccessSize): number {
		const value = super.readConfig(devfn, offset, size);
		this.access("read", devfn, offset, size, value);
		return value;
	}

	override writeConfig(devfn: number, offset: number, size: AccessSize, value: number): void {
		this.access("write", devfn, offset, size, value);
		super.writeConfig(devfn, offset, size, value);
	}

	private access(event: string, devfn: number, offset: number, size: AccessSize, value: number): void {
		const fields = { function: pciName(devfn), register: hex(offset, 1), value: hex(value, size) };
		const address = PCI_ENABLE + devfn * 256 + offset;
		this.say(event, fields, address, address + size - 1);
	}
}

/** A firmware configuration device that says every selected item where that is wanted. */
export function fwCfg(memory: ConstructorParameters<typeof FwCfg>[0], say: TraceLine | undefined): FwCfg {
	return say === undefined ? new FwCfg(memory) : new TracedFwCfg(memory, say);
}

class TracedFwCfg extends FwCfg {
	private readonly say: TraceLine | undefined;
	private readonly names: string[] = [];

	constructor(memory: ConstructorParameters<typeof FwCfg>[0], say: TraceLine) {
		super(memory);
		this.say = say;
	}

	override addFile(name: string, content: FwCfgContent, onWrite?: (content: Uint8Array) => void): void {
		super.addFile(name, content, onWrite);
		this.names.push(name);
		this.names.sort();
	}

	override select(key: number): void {
		super.select(key);
		this.say?.("select", { key: hex(key, 2), name: this.nameOf(key), bytes: this.remaining }, key);
	}

	private nameOf(key: number): string {
		const item = Object.entries(FW_CFG).find(([, number]) => number === key)?.[0];
		return this.names[key - FW_CFG.FILES] ?? item?.toLowerCase().replaceAll("_", "-") ?? "nothing";
	}
}

/** A flash unit that says its commands and mode switches where that is wanted. */
export function tracedFlash(target: BusTarget, trace: Trace): BusTarget {
	const say = trace("flash");
	if (say === undefined) return target;
	return {
		name: target.name,
		sizes: target.sizes,
		read(offset, size) {
			const value = target.read(offset, size);
			say("read", { unit: target.name, offset: hex(offset, 3), value: hex(value, size) }, offset, offset + size - 1);
			return value;
		},
		write(offset, size, value) {
			say("write", { unit: target.name, offset: hex(offset, 3), value: hex(value, size) }, offset, offset + size - 1);
			target.write(offset, size, value);
		},
	};
}

/** Array and command mode of a flash unit, said where that is wanted. */
export function tracedRomd(name: string, romd: RomdControl, trace: Trace): RomdControl {
	const say = trace("flash");
	if (say === undefined) return romd;
	return {
		setDirect(on) {
			say(on ? "array mode" : "command mode", { unit: name }, 0, Number.MAX_SAFE_INTEGER);
			romd.setDirect(on);
		},
	};
}
