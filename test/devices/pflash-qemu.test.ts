import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { AccessSize } from "../../src/bus/device.ts";
import { createFlash } from "../support/flash.ts";
import { describeWith } from "../support/guest-files.ts";
import { Qtest } from "../support/qtest.ts";

const SECTOR = 4096;
const ROM_SIZE = 0x4_0000;
const STEPS = 1500;
/** Commands of the set, some of them twice so that their second cycles meet, and a few that are none. */
const COMMANDS = [
	0x00, 0xf0, 0xff, 0x10, 0x40, 0x20, 0x50, 0x60, 0x70, 0x90, 0x98, 0xd0, 0x01, 0xb0, 0xe9, 0x80, 0x28, 0x30,
];

/** A linear congruential generator: repeatable runs. */
function generator(seed: number): (below: number) => number {
	let state = seed;
	return (below) => {
		state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
		return Math.floor((state / 2 ** 32) * below);
	};
}

interface Step {
	readonly write: boolean;
	readonly offset: number;
	readonly size: AccessSize;
	readonly value: number;
}

/** Random commands, data and reads, and whole buffer writes (QEMU takes the window from the count's address, not the data's). */
function script(seed: number, size: number): Step[] {
	const random = generator(seed);
	const steps: Step[] = [];
	const step = (write: boolean, offset: number, width: AccessSize, value = 0): void => {
		steps.push({ write, offset, size: width, value });
	};
	while (steps.length < STEPS) {
		const width = ([1, 1, 1, 2, 4] as const)[random(5)]!;
		const offset = Math.floor(random(random(2) ? size - 4 : 0x60) / width) * width;
		const kind = random(20);
		if (kind < 10) {
			step(true, offset, width, COMMANDS[random(COMMANDS.length)]!);
		} else if (kind < 12) {
			// Not E8: a buffer write must be whole.
			step(true, offset, width, (random(2 ** 32) & ~0x08 & (width === 4 ? -1 : (1 << (8 * width)) - 1)) >>> 0);
		} else if (kind < 13) {
			const window = random(size / 256) * 256;
			const count = random(6);
			step(true, window, 1, 0xff);
			step(true, window, 1, 0xff);
			step(true, window, 1, 0xe8);
			step(true, window, 1, count);
			for (let i = 0; i <= count; i++) step(true, window + i, 1, random(256));
			step(false, window, 1);
			step(true, window, 1, 0xd0);
		} else {
			step(false, offset, width);
		}
	}
	// A first cycle that still waits for data takes one of these; then the array is readable.
	for (let i = 0; i < 3; i++) step(true, 0, 1, 0xff);
	return steps;
}

describeWith(["qemu"], "CFI01 beside QEMU's pflash", () => {
	let folder: string;
	let qemu: Qtest | undefined;

	beforeEach(() => {
		folder = mkdtempSync(join(tmpdir(), "tsvmm-pflash-"));
	});

	afterEach(() => {
		qemu?.close();
		rmSync(folder, { recursive: true });
	});

	test.each([
		[1, 0x4000, false],
		[2, 0x8_4000, false],
		[3, 0x4000, true],
	])("seed %i, %i bytes, readonly %s: every read and the final contents agree", async (seed, size, readonly) => {
		const initial = Uint8Array.from({ length: size }, (_, i) => (i * 7) ^ (i >> 8));
		const rom = join(folder, "rom.bin");
		const file = join(folder, "flash.bin");
		writeFileSync(rom, new Uint8Array(ROM_SIZE));
		writeFileSync(file, initial);
		const drive = (unit: number, path: string, ro: boolean): string[] => [
			"-drive",
			`if=pflash,unit=${unit},format=raw,file=${path}${ro ? ",readonly=on" : ""}`,
		];
		qemu = new Qtest(["-M", "pc", ...drive(0, rom, true), ...drive(1, file, readonly)]);
		const base = 2 ** 32 - ROM_SIZE - size;
		const { device: flash, bytes } = createFlash({
			blocks: [{ count: size / SECTOR, size: SECTOR }],
			contents: initial,
			readonly,
		});
		const letter = { 1: "b", 2: "w", 4: "l" } as const;
		const theirs: Promise<number>[] = [];
		const ours: number[] = [];
		for (const { write, offset, size: width, value } of script(seed, size)) {
			if (write) {
				void qemu.command(`write${letter[width]} ${base + offset} ${value}`);
				flash.write(offset, width, value);
			} else {
				theirs.push(qemu.number(`read${letter[width]} ${base + offset}`));
				ours.push(flash.read(offset, width));
			}
		}
		expect(await Promise.all(theirs)).toEqual(ours);
		expect(await qemu.command(`read ${base} ${size}`)).toBe(`0x${Buffer.from(bytes).toString("hex")}`);
	});
});
