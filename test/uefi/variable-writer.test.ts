import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { UserError } from "../../src/base/errors.ts";
import { GLOBAL_VENDOR } from "../../src/uefi/guid-names.ts";
import { parseVariableStore, STATE_OFFSET, variableKey, variablesOf } from "../../src/uefi/variable-store.ts";
import { type StoreCells, VariableWriter } from "../../src/uefi/variable-writer.ts";
import { emptyStore } from "../support/uefi-image.ts";

const OTHER_VENDOR = "158def5a-f656-419c-b027-7a3192c079d2";

interface Step {
	readonly offset: number;
	readonly bytes: Uint8Array;
	readonly erases: boolean;
}

/** Cells in memory that remember each step and let bits go from 1 to 0 only, as flash does. */
class Cells implements StoreCells {
	readonly bytes: Uint8Array;
	readonly steps: Step[] = [];

	constructor(bytes: Uint8Array) {
		this.bytes = bytes;
	}

	program(offset: number, bytes: Uint8Array): void {
		for (const [i, byte] of bytes.entries()) {
			expect(byte & ~this.bytes[offset + i]!, "a program that would have to erase").toBe(0);
		}
		this.bytes.set(bytes, offset);
		this.steps.push({ offset, bytes: Uint8Array.from(bytes), erases: false });
	}

	replace(bytes: Uint8Array): void {
		this.bytes.set(bytes);
		this.steps.push({ offset: 0, bytes: Uint8Array.from(bytes), erases: true });
	}
}

type Values = Map<string, string>;

/** What a store says: attributes and data by variable. */
function valuesOf(bytes: Uint8Array): Values {
	const variables = variablesOf(parseVariableStore(bytes)!.records).filter(({ current }) => current !== undefined);
	return new Map(
		variables.map(({ guid, name, current }) => [
			variableKey(guid, name),
			`${current!.attributes} ${[...current!.data]}`,
		]),
	);
}

function open(size: number, authenticated = true): { cells: Cells; writer: VariableWriter } {
	const cells = new Cells(emptyStore(size, authenticated));
	return { cells, writer: new VariableWriter(cells, "store") };
}

const value = (name: string, ...data: number[]) => ({
	guid: GLOBAL_VENDOR,
	name,
	attributes: 7,
	data: Uint8Array.from(data),
});

/** States of the records of `name`, the oldest first. */
const states = (bytes: Uint8Array, name: string): readonly string[] =>
	parseVariableStore(bytes)!
		.records.filter((record) => record.name === name)
		.map(({ state }) => state);

describe("a variable", () => {
	test("the first value: header, state, name and data, state", () => {
		const { cells, writer } = open(4096);
		expect(writer.set(value("Timeout", 5, 0))).toBe("added");
		expect(cells.steps.map(({ offset, bytes }) => [offset, bytes.length])).toEqual([
			[28, 60],
			[28 + STATE_OFFSET, 1],
			[88, 18],
			[28 + STATE_OFFSET, 1],
		]);
		expect([1, 3].map((step) => cells.steps[step]?.bytes[0])).toEqual([0x7f, 0x3f]);
		expect(parseVariableStore(cells.bytes)).toMatchObject({ end: 108, problems: [] });
	});

	test("a new value: the old one is marked before and after, and stays as history", () => {
		const { cells, writer } = open(4096, false);
		writer.set(value("Timeout", 5, 0));
		cells.steps.length = 0;
		expect(writer.set(value("Timeout", 6, 0))).toBe("replaced");
		expect(cells.steps[0]).toMatchObject({ offset: 28 + STATE_OFFSET, bytes: Uint8Array.of(0x3e) });
		expect(cells.steps.at(-1)).toMatchObject({ offset: 28 + STATE_OFFSET, bytes: Uint8Array.of(0x3c) });
		expect(states(cells.bytes, "Timeout")).toEqual(["deleted", "added"]);
		const [variable] = variablesOf(parseVariableStore(cells.bytes)!.records);
		expect(variable?.history.map(({ data }) => data[0])).toEqual([5, 6]);
		expect(variable?.current?.data[0]).toBe(6);
	});

	test("the same value again writes nothing; other attributes do", () => {
		const { cells, writer } = open(4096);
		writer.set(value("Timeout", 5, 0));
		cells.steps.length = 0;
		expect(writer.set(value("Timeout", 5, 0))).toBe("unchanged");
		expect(cells.steps).toEqual([]);
		expect(writer.set({ ...value("Timeout", 5, 0), attributes: 3 })).toBe("replaced");
	});

	test("deleting is one change of state, and once", () => {
		const { cells, writer } = open(4096);
		writer.set(value("Timeout", 5, 0));
		cells.steps.length = 0;
		expect(writer.delete(GLOBAL_VENDOR, "Timeout")).toBe(true);
		expect(cells.steps).toEqual([{ offset: 28 + STATE_OFFSET, bytes: Uint8Array.of(0x3d), erases: false }]);
		expect(writer.delete(GLOBAL_VENDOR, "Timeout")).toBe(false);
		expect(writer.delete(OTHER_VENDOR, "Timeout")).toBe(false);
	});

	test("the time of its last signed change stays unless another one is given", () => {
		const { cells, writer } = open(4096);
		const time = Uint8Array.of(0xe8, 7, 1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0);
		writer.set({ ...value("db", 1), attributes: 0x27, time });
		writer.set({ ...value("db", 2), attributes: 0x27 });
		expect(parseVariableStore(cells.bytes)!.records.map((record) => record.time)).toEqual([time, time]);
	});
});

describe("a full store", () => {
	test("is written anew with what is valid, in one step", () => {
		const { cells, writer } = open(600);
		writer.set(value("Kept", 1));
		for (let i = 0; i < 4; i++) writer.set(value("Changing", i));
		const last = cells.steps.at(-1)!;
		expect(last.erases).toBe(false);
		for (let i = 4; i < 20 && !cells.steps.at(-1)!.erases; i++) writer.set(value("Changing", i));
		expect(cells.steps.at(-1)!.erases).toBe(true);
		expect(states(cells.bytes, "Kept")).toEqual(["added"]);
		expect(states(cells.bytes, "Changing")).toEqual(["added"]);
	});

	test("without room for what is valid it is an error that names the variable, and nothing is written", () => {
		const { cells, writer } = open(300);
		writer.set(value("Small", 1));
		const before = Uint8Array.from(cells.bytes);
		expect(() => writer.set(value("Large", ...new Array<number>(200).fill(1)))).toThrow(
			"store has no room for Large: it takes 272 bytes, and without all that is deleted 196 are free",
		);
		expect(cells.bytes).toEqual(before);
	});
});

describe("a store that was left in the middle of something", () => {
	test("what lies behind a record that never got its state is cleaned away", () => {
		const { cells, writer } = open(4096);
		writer.set(value("Kept", 1));
		const header = Uint8Array.from(cells.bytes.subarray(28, 88));
		header[STATE_OFFSET] = 0xff;
		const { end } = parseVariableStore(cells.bytes)!;
		cells.bytes.set(header, end);
		cells.bytes[end + 70] = 1;
		expect(parseVariableStore(cells.bytes)!.problems).toHaveLength(1);
		writer.set(value("New", 2));
		expect(parseVariableStore(cells.bytes)).toMatchObject({ problems: [] });
		expect([...valuesOf(cells.bytes).keys()]).toEqual([`${GLOBAL_VENDOR}:Kept`, `${GLOBAL_VENDOR}:New`]);
	});

	test("a broken one is left alone", () => {
		const { cells, writer } = open(4096);
		writer.set(value("Kept", 1));
		cells.bytes[20] = 0;
		expect(() => writer.set(value("New", 2))).toThrow(
			"store: the store of variables cannot be changed: it is not formatted",
		);
	});
});

type Command =
	| { readonly kind: "set"; readonly at: number; readonly attributes: number; readonly data: Uint8Array }
	| { readonly kind: "delete"; readonly at: number };

const NAMES = [
	[GLOBAL_VENDOR, "BootOrder"],
	[GLOBAL_VENDOR, "A"],
	[OTHER_VENDOR, "A"],
	[OTHER_VENDOR, "a longer name, with blanks"],
] as const;

const command: fc.Arbitrary<Command> = fc.oneof(
	{
		weight: 4,
		arbitrary: fc.record({
			kind: fc.constant("set" as const),
			at: fc.nat(NAMES.length - 1),
			attributes: fc.constantFrom(3, 7),
			data: fc.uint8Array({ minLength: 1, maxLength: 60 }),
		}),
	},
	{ weight: 1, arbitrary: fc.record({ kind: fc.constant("delete" as const), at: fc.nat(NAMES.length - 1) }) },
);

test("any sequence of changes reads back as it was meant, and so does any interruption of it", () => {
	fc.assert(
		fc.property(fc.array(command, { minLength: 1, maxLength: 25 }), fc.boolean(), (commands, authenticated) => {
			const { cells, writer } = open(700, authenticated);
			const expected: Values = new Map();
			for (const one of commands) {
				const [guid, name] = NAMES[one.at]!;
				const before = new Map(expected);
				const start = Uint8Array.from(cells.bytes);
				cells.steps.length = 0;
				try {
					if (one.kind === "delete") {
						expect(writer.delete(guid, name)).toBe(expected.delete(variableKey(guid, name)));
					} else {
						writer.set({ guid, name, attributes: one.attributes, data: one.data });
						expected.set(variableKey(guid, name), `${one.attributes} ${[...one.data]}`);
					}
				} catch (error) {
					if (!(error instanceof UserError)) throw error;
				}
				const store = parseVariableStore(cells.bytes)!;
				expect(store.problems).toEqual([]);
				expect(store.records.every(({ state }) => state === "added" || state === "deleted")).toBe(true);
				expect(sorted(valuesOf(cells.bytes))).toEqual(sorted(expected));
				interruptions(start, cells.steps, sorted(before), sorted(expected));
			}
		}),
		{ numRuns: 60 },
	);
});

/** After any of `steps` the store reads as before or as afterwards, and can be changed further. */
function interruptions(start: Uint8Array, steps: readonly Step[], before: unknown, after: unknown): void {
	const bytes = Uint8Array.from(start);
	for (const { offset, bytes: part } of steps) {
		bytes.set(part, offset);
		const values = sorted(valuesOf(bytes));
		expect([JSON.stringify(before), JSON.stringify(after)]).toContain(JSON.stringify(values));
		const copy = new Cells(Uint8Array.from(bytes));
		const [guid, name] = NAMES[1];
		const other = sorted(valuesOf(copy.bytes)).filter(([key]) => key !== variableKey(guid, name));
		new VariableWriter(copy, "store").delete(guid, name);
		expect(sorted(valuesOf(copy.bytes))).toEqual(other);
	}
}

function sorted(values: Values): (readonly [string, string])[] {
	return [...values].sort(([a], [b]) => (a < b ? -1 : 1));
}
