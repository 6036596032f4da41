import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { UserError } from "../../src/base/errors.ts";
import { FlashFile } from "../../src/host/flash-file.ts";
import { FailingFiles, type Failure, Killed } from "../support/failing-files.ts";
import { randomFrom } from "../support/random.ts";

const SIZE = 0x8000;
const PATH = "vars.fd";
const INTENT = "vars.fd.intent";
const OPTIONS = { what: "--flash", sectorSize: 4096, limit: SIZE };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** What a guest does to its flash. */
type Step =
	| { readonly kind: "change"; readonly offset: number; readonly bytes: Uint8Array }
	| { readonly kind: "flush" }
	| { readonly kind: "sync" };

/** Programs of a few bytes, often near the one before; erases of one page and of blocks; sometimes a flush. */
function script(random: () => number): Step[] {
	const upTo = (limit: number): number => Math.floor(random() * limit);
	/** Where it programmed last, the latest first. */
	const places = [0, 0];
	return Array.from({ length: 24 }, (): Step => {
		const kind = random();
		if (kind < 0.15) return { kind: "flush" };
		if (kind < 0.18) return { kind: "sync" };
		if (kind < 0.4) {
			const length = [4096, 8192, 16384][upTo(3)]!;
			return { kind: "change", offset: upTo(SIZE / length) * length, bytes: new Uint8Array(length).fill(0xff) };
		}
		// Now and then over the end of a page.
		const place = random() < 0.7 ? places[upTo(2)]! + upTo(60) - 20 : upTo(SIZE);
		const offset = Math.max(0, Math.min(place, SIZE - 64));
		places.unshift(offset);
		return { kind: "change", offset, bytes: Uint8Array.from({ length: 1 + upTo(40) }, () => upTo(256)) };
	});
}

/** An image that no step leaves as it is. */
const initial = (): Uint8Array => Uint8Array.from({ length: SIZE }, (_, at) => (at * 7 + (at >> 8)) & 0xff);

/** What became of a script. */
interface Run {
	/** The image after each change, from the initial one on. */
	readonly states: readonly Uint8Array[];
	/** How many changes the last flush that returned has seen, and the last sync. */
	readonly flushed: number;
	readonly synced: number;
	/** How often the flash file said that the host refuses. */
	readonly problems: readonly string[];
	readonly killed: boolean;
}

function run(files: FailingFiles, steps: readonly Step[]): Run {
	const memory = new Uint8Array(SIZE);
	const problems: string[] = [];
	const states = [initial()];
	let [flushed, synced, killed] = [0, 0, false];
	let file: FlashFile | undefined;
	const noted = (action: () => void): void => {
		action();
		if (problems.length > 0) return;
		flushed = states.length - 1;
	};
	try {
		file = new FlashFile(PATH, { ...OPTIONS, readonly: false, failed: (text) => problems.push(text) }, files);
		file.load(memory);
		states[0] = memory.slice();
		for (const step of steps) {
			if (step.kind === "flush") noted(() => file?.flush());
			else if (step.kind === "sync") {
				noted(() => file?.sync());
				if (problems.length === 0) synced = flushed;
			} else {
				memory.set(step.bytes, step.offset);
				states.push(memory.slice());
				file.write(step.offset, step.bytes.length);
			}
		}
		noted(() => file?.close());
		if (problems.length === 0) synced = flushed;
	} catch (error) {
		if (!(error instanceof Killed)) throw error;
		killed = true;
		try {
			// Its timer and what it holds go; it cannot write any more.
			file?.close();
		} catch {}
	}
	return { states, flushed, synced, problems, killed };
}

/** What the next one to open the image finds. */
function reopened(files: FailingFiles, readonly: boolean): Uint8Array {
	const failed = (problem: string): never => expect.fail(problem);
	const file = new FlashFile(PATH, { ...OPTIONS, readonly, failed }, files);
	const memory = new Uint8Array(SIZE);
	try {
		file.load(memory);
	} finally {
		file.close();
	}
	return memory;
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** The number of changes that `image` has, which must be all up to some point, at least `least`. */
function changesIn(image: Uint8Array, states: readonly Uint8Array[], least: number): number {
	const found = states.findLastIndex((state) => same(state, image));
	if (found < least) {
		const near = states[Math.max(least, 0)]!;
		const at = near.findIndex((byte, n) => byte !== image[n]);
		expect.fail(`not the image after any change from ${least} to ${states.length - 1}; differs first at ${at}`);
	}
	return found;
}

function files(): FailingFiles {
	const made = new FailingFiles();
	made.put(PATH, initial());
	return made;
}

/** Every call of a script, failing in each way that it can. */
function* failures(steps: readonly Step[], ways: (call: string) => readonly Failure[]): Generator<[number, Failure]> {
	const whole = files();
	run(whole, steps);
	for (const [call, name] of whole.log.entries()) for (const failure of ways(name)) yield [call, failure];
}

const kills = (call: string): Failure[] => {
	const [, length] = /^write (\d+)/.exec(call) ?? [];
	const pages = length === undefined ? 0 : Math.ceil(Number(length) / 4096) + 1;
	return Array.from({ length: pages + 1 }, (_, n) => ({ kind: "kill", pages: n }));
};

/** What the failures have led to, in all runs. */
const met = { torn: 0, intents: 0, unclear: 0, refused: 0 };

/** Kills in the middle of a write. */
const partly = (call: string): Failure[] => kills(call).slice(1, -1);

describe.each(Array.from({ length: 6 }, (_, seed) => seed))("a run of seed %i", (seed) => {
	const steps = script(randomFrom(seed));

	test("killed at any instant: the next open finds all up to the last flush, a beginning of the rest, and no part of a change", () => {
		for (const [call, failure] of failures(steps, kills)) {
			const host = files();
			host.fail(call, failure);
			const { states, flushed, killed } = run(host, steps);
			expect(killed).toBe(true);
			host.restart();
			const raw = host.get(PATH)!.slice();
			// Looking changes nothing, and sees the same as who repairs it.
			const seen = reopened(host, true);
			if (!same(host.get(PATH)!, raw)) expect.fail("a reader has written");
			changesIn(seen, states, flushed);
			if (!same(seen, raw)) met.torn++;
			if (host.get(INTENT) !== undefined) met.intents++;
			if (!same(reopened(host, false), seen) || !same(host.get(PATH)!, seen))
				expect.fail("a writer sees something else");
			expect(host.get(INTENT)).toBeUndefined();
		}
	});

	test("killed while a repair is made: the next repair ends the same", () => {
		for (const [call, failure] of failures(steps, partly)) {
			const host = files();
			host.fail(call, failure);
			run(host, steps);
			host.restart();
			const seen = reopened(host, true);
			if (same(host.get(PATH)!, seen)) continue;
			for (let again = 0; ; again++) {
				host.fail(again, { kind: "kill", pages: 1 });
				try {
					reopened(host, false);
					break;
				} catch (error) {
					if (!(error instanceof Killed)) throw error;
					host.restart();
					expect(same(reopened(host, true), seen)).toBe(true);
				}
			}
		}
	});

	test("a host that refuses at any call: one message, and the file is as after some change", () => {
		const ways = (): Failure[] => [
			{ kind: "refuse", code: "ENOSPC" },
			{ kind: "refuse", code: "EIO" },
		];
		for (const [call, failure] of failures(steps, ways)) {
			const host = files();
			host.fail(call, failure);
			let outcome: Run;
			try {
				outcome = run(host, steps);
			} catch (error) {
				// Refused before the run began.
				expect(error).toBeInstanceOf(UserError);
				outcome = { states: [initial()], flushed: 0, synced: 0, problems: ["open"], killed: false };
			}
			if (outcome.problems.length > 0) met.refused++;
			expect(outcome.problems.length).toBeLessThanOrEqual(1);
			host.restart();
			changesIn(reopened(host, false), outcome.states, outcome.flushed);
		}
	});

	test("after a crash of the host all that was synced is there, and a change of several pages is there, not there, or told of", () => {
		for (const [call, failure] of failures(steps, kills)) {
			const host = files();
			host.fail(call, failure);
			const { states, synced } = run(host, steps);
			host.crash(randomFrom(seed * 1000 + call));
			let seen: Uint8Array;
			try {
				seen = reopened(host, false);
			} catch (error) {
				expect(error).toBeInstanceOf(UserError);
				met.unclear++;
				continue;
			}
			// What no change has touched since the sync is as it was then; what has been is as after one of them, sector by sector.
			for (let at = 0; at < SIZE; at += 512) {
				const sector = seen.subarray(at, at + 512);
				const known = states.slice(synced).some((state) => same(state.subarray(at, at + 512), sector));
				if (!known) expect.fail(`the sector at ${at} is as it never was`);
			}
		}
	});
});

/** A block of two pages that is erased, after something else that was not synced. */
const BLOCK = { start: 0x2000, end: 0x4000 };
const erase: readonly Step[] = [
	{ kind: "change", offset: 0x100, bytes: Uint8Array.of(0x55) },
	{ kind: "flush" },
	{ kind: "change", offset: BLOCK.start, bytes: new Uint8Array(BLOCK.end - BLOCK.start).fill(0xff) },
];
const block = (image: Uint8Array): Uint8Array => image.subarray(BLOCK.start, BLOCK.end);

/** The block is as it was or erased, or the next run is told that it may be neither. */
function expectWhole(host: FailingFiles): void {
	let image: Uint8Array;
	try {
		image = reopened(host, false);
	} catch (error) {
		expect(error).toBeInstanceOf(UserError);
		return;
	}
	const wholes = [block(initial()), new Uint8Array(BLOCK.end - BLOCK.start).fill(0xff)];
	expect(wholes.some((whole) => same(whole, block(image)))).toBe(true);
}

test("a block that was being erased when the host crashed is not half erased without a word", () => {
	for (const [call, failure] of failures(erase, kills)) {
		for (let seed = 0; seed < 10; seed++) {
			const host = files();
			host.fail(call, failure);
			run(host, erase);
			host.crash(randomFrom(seed));
			expectWhole(host);
		}
	}
});

test("nor is one that was being repaired when the host crashed", () => {
	let repairs = 0;
	for (const [call, failure] of failures(erase, kills)) {
		for (let again = 0; again < 6; again++) {
			for (let seed = 0; seed < 4; seed++) {
				const host = files();
				host.fail(call, failure);
				run(host, erase);
				host.restart();
				if (same(reopened(host, true), host.get(PATH)!)) continue;
				repairs++;
				host.fail(again, { kind: "kill", pages: 1 });
				try {
					reopened(host, false);
				} catch (error) {
					if (!(error instanceof Killed)) throw error;
				}
				host.crash(randomFrom(seed));
				expectWhole(host);
			}
		}
	}
	expect(repairs).toBeGreaterThan(0);
});

test("what is programmed into an erased block stays, even where it brings back what was there", () => {
	const host = files();
	const steps: Step[] = [
		...erase,
		{ kind: "change", offset: BLOCK.end - 512, bytes: initial().slice(BLOCK.end - 512, BLOCK.end) },
		{ kind: "flush" },
		{ kind: "flush" },
	];
	run(files(), steps);
	// The last call that the whole run makes before it closes.
	const whole = files();
	run(whole, steps);
	host.fail(whole.log.lastIndexOf(`write 512 at ${BLOCK.end - 512}`) + 1, { kind: "kill", pages: 0 });
	const { states, flushed, killed } = run(host, steps);
	expect([killed, flushed]).toEqual([true, 3]);
	host.restart();
	expect(same(reopened(host, false), states[3]!)).toBe(true);
});

test("those runs have met blocks half erased, intents, and hosts that refuse", () => {
	expect(met.torn).toBeGreaterThan(20);
	expect(met.intents).toBeGreaterThan(met.torn);
	expect(met.unclear).toBeGreaterThan(0);
	expect(met.refused).toBeGreaterThan(100);
});

test("changes reach the file in the order in which they were made, a page at a time", () => {
	const host = files();
	const memory = new Uint8Array(SIZE);
	const file = new FlashFile(PATH, { ...OPTIONS, readonly: false, failed: () => {} }, host);
	file.load(memory);
	const change = (offset: number, length = 1): void => {
		memory.fill(0x11, offset, offset + length);
		file.write(offset, length);
	};
	host.fail(Number.POSITIVE_INFINITY, { kind: "kill", pages: 0 });
	change(0x5000, 4);
	change(0x5010);
	change(0x1234);
	change(0x6000);
	expect(host.log).toEqual([]);
	// The page has been changed before: the file gets what lies between first.
	change(0x5020);
	expect(host.log).toEqual(["write 17 at 20480", "write 1 at 4660", "write 1 at 24576"]);
	file.flush();
	expect(host.log.slice(3)).toEqual(["write 1 at 20512"]);
	file.close();
	expect(host.log.slice(4)).toEqual(["sync"]);
});

test("programming as UEFI firmware does it costs one call for a burst, and erasing a page no sync", () => {
	const host = files();
	const memory = new Uint8Array(SIZE);
	const file = new FlashFile(PATH, { ...OPTIONS, readonly: false, failed: () => {} }, host);
	file.load(memory);
	host.fail(Number.POSITIVE_INFINITY, { kind: "kill", pages: 0 });
	for (let block = 0; block < SIZE; block += 4096) {
		memory.fill(0xff, block, block + 4096);
		file.write(block, 4096);
		file.flush();
		for (let at = block; at < block + 4096; at++) {
			memory[at] = at & 0xff;
			file.write(at, 1);
		}
		file.flush();
	}
	expect(host.log).toHaveLength((2 * SIZE) / 4096);
	expect(host.log).not.toContain("sync");
	file.close();
});
