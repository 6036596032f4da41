import { afterEach, expect, test } from "vitest";
import type { AccessSize } from "../../src/bus/device.ts";
import { createFlash } from "../support/flash.ts";
import { describeWith } from "../support/guest-files.ts";
import { FLASH_MACHINES, type FlashMachine, type FlashMachineName, QemuFlash } from "../support/qemu-flash.ts";
import { randomFrom } from "../support/random.ts";

const STEPS = 1500;
/** Blocks that the scripts touch. */
const BLOCKS = 3;

interface Step {
	readonly write: boolean;
	readonly offset: number;
	readonly size: AccessSize;
	readonly value: number;
}

/** Steps as they come to a generator's mind. */
class Script {
	readonly steps: Step[] = [];
	readonly below: (n: number) => number;
	private readonly span: number;

	constructor(seed: number, span: number) {
		const random = randomFrom(seed);
		this.below = (n) => Math.floor(random() * n);
		this.span = span;
	}

	pick<T>(all: readonly T[]): T {
		return all[this.below(all.length)]!;
	}

	/** Often near the start, where tables are. */
	offset(width: number): number {
		return Math.floor(this.below(this.below(2) ? this.span - 4 : 0x120) / width) * width;
	}

	write(offset: number, size: AccessSize, value: number): void {
		this.steps.push({ write: true, offset, size, value });
	}

	read(offset: number, size: AccessSize): void {
		this.steps.push({ write: false, offset, size, value: 0 });
	}

	data(width: AccessSize): number {
		return this.below(2 ** (8 * width));
	}
}

/** Commands of the set, some of them twice so that their second cycles meet, and a few that are none. */
const INTEL = [
	0x00, 0xf0, 0xff, 0x10, 0x40, 0x20, 0x50, 0x60, 0x70, 0x90, 0x98, 0xd0, 0x01, 0xb0, 0xe9, 0x80, 0x28, 0x30,
];

/** Random commands, data and reads, and whole buffer writes (QEMU 7.2 takes the window from the count's address, not the data's). */
function intel(script: Script, size: number, unit: AccessSize): void {
	const { below } = script;
	while (script.steps.length < STEPS) {
		const width = script.pick<AccessSize>([1, 1, unit, unit, 2, 4]);
		const offset = script.offset(width);
		const kind = below(20);
		if (kind < 10) script.write(offset, width, script.pick(INTEL));
		// Not E8: a buffer write must be whole.
		else if (kind < 12) script.write(offset, width, script.data(width) & ~0x08 & 0x7fff_ffff);
		else if (kind < 13) {
			const window = below(size / 256) * 256;
			const count = below(6);
			script.write(window, 1, 0xff);
			script.write(window, 1, 0xff);
			script.write(window, 1, 0xe8);
			script.write(window, unit, count);
			for (let i = 0; i <= count; i++) script.write(window + i * unit, unit, script.data(unit));
			script.read(window, 1);
			script.write(window, 1, 0xd0);
		} else script.read(offset, width);
	}
	// A first cycle that still waits for data takes one of these; then the array is readable.
	for (let i = 0; i < 3; i++) script.write(0, 1, 0xff);
}

const AMD = [0x20, 0x80, 0x90, 0xa0, 0x90, 0xa0, 0x80, 0x25, 0xe0, 0xf0];

/** Commands behind unlock cycles, whole and broken, with reads between. No time passes. */
function amd(script: Script, _size: number, unit: AccessSize): void {
	const { below } = script;
	const at = (word: number): number => (word + below(4) * 0x800) * unit;
	const unlock = (): void => {
		script.write(at(0x555), unit, 0xaa);
		script.write(at(0x2aa), unit, 0x55);
	};
	while (script.steps.length < STEPS) {
		const kind = below(20);
		const width = script.pick<AccessSize>([1, unit, unit, 2, 4]);
		if (kind < 8) script.read(script.offset(width), width);
		else if (kind < 10) {
			unlock();
			script.write(at(0x555), unit, 0xa0);
			script.write(script.offset(width), width, script.data(width));
		} else if (kind < 13) {
			unlock();
			script.write(at(0x555), unit, script.pick(AMD));
		} else if (kind < 14) {
			unlock();
			script.write(at(0x555), unit, 0x80);
			unlock();
			script.write(script.offset(unit), unit, 0x30);
		} else if (kind < 15) script.write(at(0x55), unit, 0x98);
		else if (kind < 17) script.write(script.offset(unit), unit, script.pick([0xb0, 0x30, 0xf0, 0x00, 0xb0, 0x30]));
		else if (kind < 18) script.write(script.offset(width), width, script.data(width));
		else script.write(at(0x555), unit, script.pick([...AMD, 0xaa]));
	}
	// Out of an erase by suspending it, out of bypass mode and the rest by a reset.
	for (const value of [0xb0, 0xf0, 0xf0]) script.write(0, unit, value);
}

let qemu: QemuFlash | undefined;

afterEach(() => qemu?.close());

async function compare(name: FlashMachineName, seed: number, readonly: boolean, pcSize = 0x4000): Promise<void> {
	const machine: FlashMachine = FLASH_MACHINES[name];
	const size = machine.size ?? pcSize;
	const { kind, block } = machine;
	const span = Math.min(size, BLOCKS * block);
	const contents = new Uint8Array(size);
	for (let i = 0; i < span; i++) contents[i] = (i * 7) ^ (i >> 8);
	qemu = new QemuFlash(machine, contents.subarray(0, span), size, readonly);
	const { device, bytes } = createFlash({
		...kind,
		blocks: [{ count: size / block, size: block }],
		contents,
		readonly,
	});
	const script = new Script(seed, span);
	const generate = kind.commandSet === "amd" ? amd : intel;
	generate(script, span, kind.bankWidth ?? 1);
	const theirs: Promise<number>[] = [];
	const ours: number[] = [];
	for (const { write, offset, size: width, value } of script.steps) {
		if (write) {
			qemu.write(offset, width, value);
			device.write(offset, width, value);
		} else {
			theirs.push(qemu.read(offset, width));
			ours.push(device.read(offset, width));
		}
	}
	expect(await Promise.all(theirs)).toEqual(ours);
	// Where an erase is suspended its block answers with its status.
	if (kind.commandSet !== "amd")
		expect(await qemu.dump(0, span)).toBe(Buffer.from(bytes.subarray(0, span)).toString("hex"));
}

describeWith(["qemu"], "flash beside QEMU's PC", () => {
	test.each([
		[1, 0x4000, false],
		[2, 0x8_4000, false],
		[3, 0x4000, true],
	])("seed %i, %i bytes, readonly %s: every read and the final contents agree", (seed, size, readonly) =>
		compare("pc", seed, readonly, size),
	);
});

describeWith(["qemu-arm"], "flash beside QEMU's boards", () => {
	test.each<[FlashMachineName, string]>([
		["connex", "Intel, 16 bits"],
		["collie", "Intel, 32 bits"],
		["vexpress", "Intel, two chips of 16 bits"],
		["musicpal", "AMD, 16 bits"],
		["zynq", "AMD, 8 bits"],
	])("%s (%s): every read agrees", async (name) => {
		await compare(name, 4, false);
		qemu?.close();
		await compare(name, 5, true);
	});
});
