import { describe, expect, test } from "vitest";
import type { FlashEvent } from "../../src/devices/pflash-events.ts";
import { deviceContract } from "../support/device-contract.ts";
import { createFlash, type FlashOptions, type TestFlash } from "../support/flash.ts";

const BLOCKS = { blocks: [{ count: 4, size: 4096 }] } as const;
const AMD = { ...BLOCKS, commandSet: "amd" } as const;
const STRICT = { strict: true, timing: true } as const;

const KINDS: readonly [string, FlashOptions][] = [
	["Intel, QEMU's rules", BLOCKS],
	["Intel, QEMU's rules, 32 bits of two chips", { ...BLOCKS, bankWidth: 4, deviceWidth: 2 }],
	["Intel, strict", { ...BLOCKS, ...STRICT }],
	[
		"Intel, strict, locked, 32 bits of four chips",
		{ ...BLOCKS, ...STRICT, locked: true, bankWidth: 4, deviceWidth: 1 },
	],
	["AMD, QEMU's rules", AMD],
	["AMD, QEMU's rules, 16 bits", { ...AMD, bankWidth: 2 }],
	["AMD, strict", { ...AMD, ...STRICT }],
	["AMD, strict, 32 bits of two chips", { ...AMD, ...STRICT, bankWidth: 4, deviceWidth: 2 }],
];

for (const [name, options] of KINDS) {
	deviceContract(`flash (${name})`, () => createFlash(options), { span: 4096 });
}

/** Words of the bank, as wide as it is: `[address, value]`. */
function cycles(flash: TestFlash, unit: 1 | 2 | 4, ...all: readonly (readonly [number, number])[]): void {
	for (const [word, value] of all) flash.device.write(word * unit, unit, value);
}

const unlock = (word: number, value: number) =>
	[
		[0x555, 0xaa],
		[0x2aa, 0x55],
		[word, value],
	] as const;
/** Without `bytes` and `before`, whose order in a failure nobody can read. */
const kinds = (events: readonly FlashEvent[]): string[] =>
	events.map((event) => {
		const { kind, ...rest } = event;
		return `${kind} ${JSON.stringify(rest, (_, value: unknown) => (value instanceof Uint8Array ? [...value] : value))}`;
	});

describe("flash by QEMU's rules", () => {
	test("has blocks of several sizes, too, and says so in its query table", () => {
		const flash = createFlash({
			blocks: [
				{ count: 4, size: 4096 },
				{ count: 2, size: 8192 },
			],
		});
		flash.write(0, 0x98);
		const table = (from: number, length: number) => Array.from({ length }, (_, at) => flash.read(from + at));
		expect(table(0x2c, 9)).toEqual([2, 3, 0, 0x10, 0, 1, 0, 0x20, 0]);
		expect([flash.read(0x15), table(0x40, 5), flash.read(0x4f)]).toEqual([0x40, [0x50, 0x52, 0x49, 0x31, 0x30], 0]);
		flash.write(0, 0xff);
		flash.write(0x4fff, 0x20, 0xd0, 0xff);
		expect([0x3fff, 0x4001, 0x5fff, 0x6001].map((at) => flash.read(at))).toEqual([0xff, 0xff, 0xff, 0x01]);
		expect(flash.events.filter(({ kind }) => kind === "erase")).toEqual([
			{ kind: "erase", block: 4, offset: 0x4000, length: 0x2000 },
		]);
	});

	test("tells its observer of AMD commands", () => {
		const flash = createFlash({ ...AMD, readonly: true });
		cycles(flash, 1, ...unlock(0x555, 0x90), [0x55, 0x98], [0, 0xf0], [0, 0xf0]);
		cycles(flash, 1, ...unlock(0x555, 0x20), [0, 0xa0], [0x10, 0], [0, 0x90], [0, 0]);
		cycles(flash, 1, ...unlock(0x555, 0x80), ...unlock(0x1234, 0x30), [0, 0xb0], [0, 0x30], [0, 0x77]);
		expect(kinds(flash.events)).toEqual([
			'read-id {"offset":1365}',
			'romd {"on":false}',
			'cfi-query {"offset":85}',
			'read-array {"offset":0}',
			'read-array {"offset":0}',
			'romd {"on":true}',
			'unlock-bypass {"offset":1365}',
			'romd {"on":false}',
			'program {"offset":16,"bytes":[0],"before":[16]}',
			'error {"offset":16,"status":0,"reason":"readonly"}',
			'romd {"on":true}',
			'romd {"on":false}',
			'unlock-bypass-reset {"offset":0}',
			'romd {"on":true}',
			'erase {"block":1,"offset":4096,"length":4096}',
			'error {"offset":4660,"status":0,"reason":"readonly"}',
			'romd {"on":false}',
			'suspend {"offset":0}',
			'resume {"offset":0}',
			'unknown {"offset":0,"cycles":[119]}',
			'error {"offset":0,"status":0,"reason":"busy"}',
		]);
	});
});

describe("flash by its own rules tells its observer", () => {
	test("an Intel program that fails, an erase, a suspend and a resume", () => {
		const flash = createFlash({ ...BLOCKS, ...STRICT });
		flash.write(0x10, 0x40, 0x00);
		flash.clock.advance(1e6);
		flash.write(0x10, 0x40, 0xff);
		flash.clock.advance(1e6);
		flash.write(0x1000, 0x20, 0xd0, 0xb0, 0xd0);
		flash.write(0x10, 0x20);
		flash.clock.advance(2e9);
		flash.write(0x10, 0x20, 0xff, 0xff);
		expect(kinds(flash.events)).toEqual([
			'romd {"on":false}',
			'program {"offset":16,"bytes":[0],"before":[16]}',
			'program {"offset":16,"bytes":[255],"before":[0]}',
			'error {"offset":16,"status":0,"reason":"needs-erase"}',
			'erase {"block":1,"offset":4096,"length":4096}',
			'suspend {"offset":4096}',
			'resume {"offset":4096}',
			'unknown {"offset":16,"cycles":[32]}',
			'error {"offset":16,"status":0,"reason":"busy"}',
			'unknown {"offset":16,"cycles":[32,255]}',
			'error {"offset":16,"status":48,"reason":"sequence"}',
			'read-array {"offset":16}',
			'romd {"on":true}',
		]);
	});

	test("an AMD write buffer as one program, protection, and an erase that is refused", () => {
		const flash = createFlash({ ...AMD, strict: true });
		cycles(flash, 1, ...unlock(0x20, 0x25), [0x20, 1], [0x20, 0], [0x21, 1], [0x20, 0x29]);
		cycles(flash, 1, ...unlock(0x555, 0xe0), [0, 0xa0], [0x1000, 0], [0, 0x90], [0, 0]);
		cycles(flash, 1, ...unlock(0x555, 0x80), ...unlock(0x1000, 0x30));
		flash.clock.advance(50_000);
		expect(kinds(flash.events)).toEqual([
			'program-buffer {"offset":32,"bytes":[0,1],"before":[32,33]}',
			'romd {"on":false}',
			'lock {"action":"lock","block":1,"offset":4096,"length":4096}',
			'romd {"on":true}',
			'erase {"block":1,"offset":4096,"length":4096}',
			'romd {"on":false}',
			'error {"offset":4096,"status":0,"reason":"locked"}',
			'romd {"on":true}',
		]);
	});

	test("chips side by side as one flash", () => {
		const flash = createFlash({ ...BLOCKS, strict: true, bankWidth: 4, deviceWidth: 2 });
		cycles(flash, 4, [0x10, 0x40_0040], [0x10, 0], [0x400, 0x20_0020], [0x400, 0xd0_00d0], [0, 0xff_00ff]);
		flash.device.write(0x82, 2, 0x40);
		flash.device.write(0x82, 2, 0);
		expect(kinds(flash.events)).toEqual([
			'romd {"on":false}',
			'program {"offset":64,"bytes":[0,0,0,0],"before":[64,65,66,67]}',
			'erase {"block":1,"offset":4096,"length":4096}',
			'read-array {"offset":0}',
			'romd {"on":true}',
			'romd {"on":false}',
			'program {"offset":130,"bytes":[0,0],"before":[130,131]}',
		]);
	});
});

describe("flash shows its array directly", () => {
	test("on AMD chips also between the cycles of a program, so that no slot is switched", () => {
		const flash = createFlash({ ...AMD, strict: true });
		for (let at = 0; at < 8; at++) cycles(flash, 1, ...unlock(0x555, 0xa0), [at, 0]);
		expect([flash.romd, [...flash.bytes.subarray(0, 9)]]).toEqual([[], [0, 0, 0, 0, 0, 0, 0, 0, 8]]);
	});

	test("again when time has ended what the chip did", () => {
		const flash = createFlash({ ...AMD, ...STRICT });
		cycles(flash, 1, ...unlock(0x555, 0xa0), [5, 0]);
		expect(flash.romd).toEqual([false]);
		flash.clock.advance(64_000);
		expect([flash.romd, flash.store.calls.at(-1)]).toEqual([[false, true], "flush"]);
	});
});
