import { expect, test } from "vitest";
import type { AccessSize } from "../../src/bus/device.ts";
import { IdeChannel, type IdeDrive } from "../../src/devices/ide-channel.ts";
import { RecordedLine } from "../support/lines.ts";

/** A drive of registers only: keeps what is written, and notes commands and control bytes. */
class RegisterDrive implements IdeDrive {
	readonly events: string[] = [];
	readonly alternateStatus: number;
	readonly interrupting = false;
	readonly wantsDma = undefined;
	private readonly task = new Uint8Array(8);

	constructor(status: number) {
		this.alternateStatus = status;
	}

	readTask(register: number): number {
		return register === 7 ? this.alternateStatus : this.task[register]!;
	}

	writeTask(register: number, value: number, selected: boolean): void {
		this.task[register] = value;
		if (register === 7 && selected) this.events.push(`command ${value}`);
	}

	readData(size: AccessSize): number {
		return size;
	}

	writeData(size: AccessSize, value: number): void {
		this.events.push(`data ${size} ${value}`);
	}

	readMany(into: Uint8Array): void {
		into.fill(0x5a);
	}

	connect(): void {}

	dma(): void {}

	reset(): void {}

	save(): null {
		return null;
	}

	load(): void {}

	writeControl(value: number): void {
		this.events.push(`control ${value}`);
	}
}

function cable() {
	const master = new RegisterDrive(0x50);
	const slave = new RegisterDrive(0x58);
	return { master, slave, channel: new IdeChannel("ide-primary", new RecordedLine(), [master, slave]) };
}

test("both drives take the task file, the selected one the command and the data", () => {
	const { master, slave, channel } = cable();
	channel.write(2, 1, 0x33);
	channel.write(6, 1, 0xb0);
	channel.write(7, 1, 0xec);
	channel.write(0, 2, 0x1234);
	expect([master.readTask(2), slave.readTask(2)]).toEqual([0x33, 0x33]);
	expect([master.events, slave.events]).toEqual([[], ["command 236", "data 2 4660"]]);
});

test("the selected drive answers", () => {
	const { channel } = cable();
	expect([channel.read(7, 1), channel.control.read(), channel.read(0, 4)]).toEqual([0x50, 0x50, 4]);
	channel.write(6, 1, 0x10);
	expect([channel.read(7, 1), channel.control.read(), channel.read(6, 2)]).toEqual([0x58, 0x58, 0x5810]);
});

test("device control reaches both drives", () => {
	const { master, slave, channel } = cable();
	channel.control.write(0, 1, 4);
	expect([master.events, slave.events]).toEqual([["control 4"], ["control 4"]]);
});

test("with a master only, the slave's registers read 0", () => {
	const channel = new IdeChannel("ide-primary", new RecordedLine(), [new RegisterDrive(0x50)]);
	channel.write(6, 1, 0x10);
	expect([channel.read(7, 1), channel.read(0, 2), channel.control.read()]).toEqual([0, 0, 0]);
});
