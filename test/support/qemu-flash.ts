import { once } from "node:events";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { assert } from "../../src/base/errors.ts";
import type { AccessSize } from "../../src/bus/device.ts";
import type { FlashOptions } from "./flash.ts";
import type { FlashPlayer, FlashScript } from "./flash-script.ts";
import type { ProvidedName } from "./guest-files.ts";
import { Qtest } from "./qtest.ts";

const MIB = 2 ** 20;
const PC_ROM = 0x4_0000;

/** A machine of QEMU's with a flash. */
export interface FlashMachine {
	readonly qemu: Extract<ProvidedName, "qemu" | "qemu-arm">;
	readonly machine: string;
	/** Bytes of its flash; absent: any. */
	readonly size?: number;
	/** Bytes of an erase block. */
	readonly block: number;
	/** Where it lies. */
	base(size: number): number;
	readonly kind: Omit<FlashOptions, "blocks" | "contents" | "readonly">;
}

/** Every shape of flash that QEMU's boards have: both command sets, buses of 1, 2 and 4 bytes, with and without a width of chips. */
export const FLASH_MACHINES = {
	pc: { qemu: "qemu", machine: "pc", block: 4096, base: (size) => 2 ** 32 - PC_ROM - size, kind: {} },
	connex: {
		...{ qemu: "qemu-arm", machine: "connex", size: 16 * MIB, block: 128 * 1024, base: () => 0 },
		kind: { bankWidth: 2 },
	},
	collie: {
		...{ qemu: "qemu-arm", machine: "collie", size: 32 * MIB, block: 64 * 1024, base: () => 0 },
		kind: { bankWidth: 4 },
	},
	vexpress: {
		...{ qemu: "qemu-arm", machine: "vexpress-a9", size: 64 * MIB, block: 256 * 1024, base: () => 0x4000_0000 },
		kind: { bankWidth: 4, deviceWidth: 2, identity: { manufacturer: 0x89, device: 0x18 } },
	},
	musicpal: {
		...{ qemu: "qemu-arm", machine: "musicpal", size: 8 * MIB, block: 64 * 1024, base: () => 2 ** 32 - 32 * MIB },
		kind: { commandSet: "amd", bankWidth: 2, identity: { manufacturer: 0xbf, device: 0x236d } },
	},
	zynq: {
		...{ qemu: "qemu-arm", machine: "xilinx-zynq-a9", size: 64 * MIB, block: 128 * 1024, base: () => 0xe200_0000 },
		kind: { commandSet: "amd", bankWidth: 1, identity: { manufacturer: 0x66, device: 0x22 } },
	},
} satisfies Readonly<Record<string, FlashMachine>>;

export type FlashMachineName = keyof typeof FLASH_MACHINES;

const LETTER = { 1: "b", 2: "w", 4: "l" } as const;

/** The flash of a machine of QEMU's whose processor stands still. */
export class QemuFlash {
	private readonly folder = mkdtempSync(join(tmpdir(), "tsvmm-flash-"));
	private readonly qtest: Qtest;
	private readonly base: number;
	private monitor: Socket | undefined;

	/** `contents` from its start; the rest is 0. */
	constructor(machine: FlashMachine, contents: Uint8Array, size: number, readonly: boolean) {
		const image = join(this.folder, "flash.bin");
		writeFileSync(image, contents);
		truncateSync(image, size);
		const drive = (unit: number, path: string, ro: boolean): string[] => [
			"-drive",
			`if=pflash,unit=${unit},format=raw,file=${path}${ro ? ",readonly=on" : ""}`,
		];
		const isPc = machine.machine === "pc";
		const rom = join(this.folder, "rom.bin");
		if (isPc) writeFileSync(rom, new Uint8Array(PC_ROM));
		const drives = isPc ? [...drive(0, rom, true), ...drive(1, image, readonly)] : drive(0, image, readonly);
		const args = ["-M", machine.machine, ...drives, "-qmp", `unix:${this.socket},server=on,wait=off`];
		this.qtest = new Qtest(args, isPc ? "qemu-system-i386" : "qemu-system-arm");
		this.base = machine.base(size);
	}

	read(offset: number, size: AccessSize): Promise<number> {
		return this.qtest.number(`read${LETTER[size]} ${this.base + offset}`);
	}

	write(offset: number, size: AccessSize, value: number): void {
		void this.qtest.command(`write${LETTER[size]} ${this.base + offset} ${value}`);
	}

	/** What reads of single bytes give, in hexadecimal. */
	async dump(offset: number, length: number): Promise<string> {
		return (await this.qtest.command(`read ${this.base + offset} ${length}`)).slice(2);
	}

	/** Time passes for so many milliseconds at least. */
	async run(ms: number): Promise<void> {
		// Everything before has been carried out when this is answered.
		await this.qtest.command("endianness");
		await this.control("cont");
		await sleep(ms);
		await this.control("stop");
	}

	close(): void {
		this.monitor?.destroy();
		this.qtest.close();
		rmSync(this.folder, { recursive: true });
	}

	private get socket(): string {
		return join(this.folder, "qmp");
	}

	private async control(command: "cont" | "stop"): Promise<void> {
		if (this.monitor === undefined) {
			this.monitor = createConnection(this.socket);
			await once(this.monitor, "data");
			await this.execute(this.monitor, "qmp_capabilities");
		}
		await this.execute(this.monitor, command);
	}

	private async execute(monitor: Socket, command: string): Promise<void> {
		const lines = createInterface({ input: monitor });
		const answered = new Promise<void>((resolve) => {
			lines.on("line", (line) => {
				if ("return" in (JSON.parse(line) as object)) resolve();
			});
		});
		monitor.write(`${JSON.stringify({ execute: command })}\n`);
		await answered;
		lines.close();
		monitor.resume();
	}
}

/** QEMU as a script wants it. */
export function qemuPlayer({ qemu, contents, options }: FlashScript): FlashPlayer & { close(): void } {
	assert(qemu !== undefined, "a script that names a machine of QEMU's");
	const flash = new QemuFlash(FLASH_MACHINES[qemu], contents, contents.length, options.readonly ?? false);
	return {
		read: (offset, size) => flash.read(offset, size),
		write: (offset, size, value) => flash.write(offset, size, value),
		wait: (ns) => flash.run(ns / 1e6),
		close: () => flash.close(),
	};
}
