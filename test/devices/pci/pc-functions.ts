import type { ManualClock } from "../../../src/bus/clock.ts";
import type { PowerControl, ResetKind } from "../../../src/bus/device.ts";
import { devfn, PciBus, type Window } from "../../../src/bus/pci.ts";
import { PciConfigAddress, PciConfigData } from "../../../src/devices/pci/config-ports.ts";
import { I440fx } from "../../../src/devices/pci/i440fx.ts";
import { Piix3Ide } from "../../../src/devices/pci/piix3-ide.ts";
import { Piix3Isa } from "../../../src/devices/pci/piix3-isa.ts";
import { Piix4Pm } from "../../../src/devices/pci/piix4-pm.ts";
import { RecordedLine } from "../../support/lines.ts";

/** Remembers where a function's registers were last put, and how often they moved. */
export class RecordedWindow implements Window {
	base: number | undefined;
	moves = 0;

	place(base: number | undefined): void {
		this.base = base;
		this.moves++;
	}
}

export class RecordedPower implements PowerControl {
	readonly requests: string[] = [];

	reset(kind: ResetKind): void {
		this.requests.push(`reset ${kind}`);
	}

	powerOff(): void {
		this.requests.push("power off");
	}

	debugExit(value: number): void {
		this.requests.push(`debug exit ${value}`);
	}
}

/** The PCI side of the `pc` machine, with what it stands on. */
export function pcFunctions(clock: ManualClock) {
	const bus = new PciBus();
	const lines = Array.from({ length: 16 }, () => new RecordedLine());
	const power = new RecordedPower();
	const sci = new RecordedLine();
	const pmWindow = new RecordedWindow();
	const ideWindow = new RecordedWindow();
	const segments = Array.from({ length: 13 }, () => "--");
	const smram = { open: false };
	const host = new I440fx(
		{
			set: (segment, read, write) => {
				segments[segment] = `${read ? "r" : "-"}${write ? "w" : "-"}`;
			},
		},
		{
			set: (open) => {
				smram.open = open;
			},
		},
	);
	const isa = new Piix3Isa(lines);
	const dma = { read: (_gpa: number, length: number) => new Uint8Array(length), write() {} };
	const ide = new Piix3Ide({ window: ideWindow, dma, irqs: [new RecordedLine(), new RecordedLine()] });
	const pm = new Piix4Pm({ clock, power, sci, window: pmWindow, legacy: { lpt1: false, com1: false, com2: false } });
	bus.attach(devfn(0, 0), host);
	bus.attach(devfn(1, 0), isa);
	bus.attach(devfn(1, 1), ide);
	bus.attach(devfn(1, 3), pm);
	const address = new PciConfigAddress();
	const data = new PciConfigData(address, bus);
	return { bus, lines, power, sci, pmWindow, ideWindow, segments, smram, host, isa, ide, pm, address, data };
}
