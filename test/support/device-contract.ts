import { describe, expect, test } from "vitest";
import type { ManualClock } from "../../src/bus/clock.ts";
import type { AccessSize, Device } from "../../src/bus/device.ts";
import type { RecordedLine } from "./lines.ts";

/** One fresh device and what it drives. */
export interface ContractSubject {
	readonly device: Device;
	/** Interrupt outputs: low after reset. */
	readonly irqs?: readonly RecordedLine[];
	/** Moved forward between accesses when given. */
	readonly clock?: ManualClock;
}

export interface ContractOptions {
	/** Offsets swept: from 0 to below this. */
	readonly span: number;
	/** Offsets the random accesses choose from; all of the span by default. */
	readonly offsets?: readonly number[];
}

/** A small repeatable generator (xorshift32), so that a failing run can be run again. */
function randoms(seed: number): () => number {
	let state = seed;
	return () => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return state >>> 0;
	};
}

function modify(subject: ContractSubject, options: ContractOptions, seed: number): void {
	const { device, clock } = subject;
	const random = randoms(seed);
	for (let i = 0; i < 400; i++) {
		const size = device.sizes[random() % device.sizes.length] as AccessSize;
		const choice = random();
		const offset = options.offsets?.[choice % options.offsets.length] ?? choice % options.span;
		if (random() % 3 === 0) device.read(offset, size);
		else device.write(offset, size, size === 4 ? random() : random() & (size === 1 ? 0xff : 0xffff));
		clock?.advance(random() % 100_000);
	}
}

function json(state: unknown): unknown {
	return JSON.parse(JSON.stringify(state));
}

/** What every device promises. One call per device: `deviceContract("pit8254", () => ({ ... }), { span: 4 })`. */
export function deviceContract(name: string, create: () => ContractSubject, options: ContractOptions): void {
	describe(`${name} keeps the device contract`, () => {
		test("access sizes are declared ascending", () => {
			const { sizes } = create().device;
			expect(sizes.length).toBeGreaterThan(0);
			expect([...sizes].sort((a, b) => a - b)).toEqual(sizes);
		});

		test("reset after arbitrary use equals reset twice", () => {
			const subject = create();
			modify(subject, options, 1);
			subject.device.reset();
			const once = subject.device.save();
			subject.device.reset();
			expect(subject.device.save()).toEqual(once);
		});

		test("interrupt lines are low after reset", () => {
			const subject = create();
			modify(subject, options, 2);
			subject.device.reset();
			for (const irq of subject.irqs ?? []) expect(irq.asserted).toBe(false);
		});

		test("state is plain JSON data", () => {
			const subject = create();
			modify(subject, options, 3);
			const state = subject.device.save();
			expect(json(state)).toStrictEqual(state);
		});

		test("saved state does not change with the device", () => {
			const subject = create();
			modify(subject, options, 4);
			const state = subject.device.save();
			const copy = json(state);
			modify(subject, options, 5);
			expect(state).toEqual(copy);
		});

		test("load of a saved state gives that state, also after further use", () => {
			const subject = create();
			modify(subject, options, 6);
			const state = json(subject.device.save());
			const levels = subject.irqs?.map((irq) => irq.asserted);
			subject.device.load(state);
			expect(subject.device.save()).toEqual(state);
			const elsewhere = create();
			elsewhere.clock?.advance((subject.clock?.now() ?? 0) - elsewhere.clock.now());
			elsewhere.device.load(state);
			expect(elsewhere.device.save()).toEqual(state);
			expect(elsewhere.irqs?.map((irq) => irq.asserted)).toEqual(levels);
		});

		test("two devices with the same state answer alike", () => {
			const one = create();
			modify(one, options, 7);
			const other = create();
			other.clock?.advance((one.clock?.now() ?? 0) - other.clock.now());
			other.device.load(json(one.device.save()));
			for (const seed of [8, 9, 10]) {
				modify(one, options, seed);
				modify(other, options, seed);
				expect(other.device.save()).toEqual(one.device.save());
			}
		});

		test("every offset and size answers an unsigned number of its width and never throws", () => {
			const subject = create();
			const { device, clock } = subject;
			for (let offset = 0; offset < options.span + 8; offset++) {
				for (const size of device.sizes) {
					for (const value of [0, 0xffffffff, 0x5a5a5a5a]) {
						device.write(offset, size, size === 4 ? value : value & (size === 1 ? 0xff : 0xffff));
						clock?.advance(1000);
						const read = device.read(offset, size);
						expect(Number.isInteger(read) && read >= 0 && read < 2 ** (size * 8)).toBe(true);
					}
				}
			}
		});
	});
}
