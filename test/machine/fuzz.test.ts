import { expect, test } from "vitest";
import { Machine, machineConfig, nullSink, RomWriteJournal, silentLogger } from "../../src/index.ts";
import { MACHINE_ENGINES } from "../support/run-machine.ts";
import { temporaryFiles } from "../support/tiny-rom.ts";

const file = temporaryFiles();

const SEED = 20260101;
const ROMS = 10;
const INSTRUCTIONS = 20_000;

/** Ports that answer, and some that do not. */
const PORTS = [
	...[0x20, 0x21, 0x40, 0x42, 0x43, 0x60, 0x61, 0x64, 0x70, 0x71, 0x80, 0x92, 0xa0, 0xa1, 0xb2, 0xe9, 0x1f7, 0x2f8],
	...[0x3c0, 0x3d4, 0x3d5, 0x3da, 0x3f6, 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x402, 0x4d0, 0x510, 0x511, 0x514],
	...[0x518, 0x600, 0x604, 0x608, 0xafe0, 0xc000, 0xcf8, 0xcf9, 0xcfc, 0xcfd, 0xcfe, 0xffff],
];
/** IN and OUT in all widths, INSB, OUTSB. */
const ACCESSES = [0xec, 0xed, 0xee, 0xef, 0x6c, 0x6e];

/** Marsaglia's xorshift: the same numbers everywhere. */
function numbers(seed: number): (below: number) => number {
	let state = seed;
	return (below) => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return (state >>> 0) % below;
	};
}

/** Random bytes, every third place of eight bytes a port access: mov dx, port; in or out. */
function randomRom(seed: number): Uint8Array {
	const next = numbers(seed);
	const rom = Uint8Array.from({ length: 0x10000 }, () => next(256));
	for (let at = 0; at < 0xff00; at += 8) {
		if (next(3) > 0) continue;
		const port = PORTS[next(PORTS.length)]!;
		rom.set([0xba, port & 0xff, port >> 8, ACCESSES[next(ACCESSES.length)]!], at);
	}
	rom.set([0xea, 0x00, 0x00, 0x00, 0xf0], 0xfff0);
	return rom;
}

async function end(rom: Uint8Array, engine: string) {
	const config = machineConfig({
		...{ bios: file("rom", rom), flash: file("flash", new Uint8Array(0x4000)), memory: "2M", display: "text", engine },
		...{ "debug-exit": "off", "max-instructions": String(INSTRUCTIONS), "max-guest-time": "60s" },
	});
	const machine = new Machine(config, {
		serial: [{ output: nullSink }],
		debugcon: nullSink,
		log: silentLogger,
		romWrites: new RomWriteJournal(),
		screen: () => {},
	});
	const outcome = await machine.run();
	return { ...outcome, hash: machine.ramHash() };
}

test(`no device can be made to throw, and both engines come to the same end (${ROMS} ROMs from seed ${SEED})`, async () => {
	for (let n = 0; n < ROMS; n++) {
		const rom = randomRom(SEED + n);
		const [first, second] = [await end(rom, MACHINE_ENGINES[0]), await end(rom, MACHINE_ENGINES[1])];
		expect(second, `seed ${SEED + n}`).toEqual(first);
	}
}, 180_000);
