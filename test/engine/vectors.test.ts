import { beforeAll, describe, expect, it } from "vitest";
import { type Decoded, Decoder } from "../../src/isa/decoder.ts";
import { FLAG_BITS, type Width } from "../../src/isa/expr.ts";
import { undefinedFlags } from "../../src/isa/family.ts";
import { instructionTable } from "../../src/isa/index.ts";
import { VECTOR } from "../../src/isa/registers.ts";
import { ENGINES } from "../support/engine.ts";
import { openFamily, type Vector, vectorFamilies } from "../vectors/read.ts";
import { describeMismatch, type Mismatch, replay } from "../vectors/replay.ts";
import { VectorMachine } from "./vector-machine.ts";

const decoder = new Decoder(instructionTable());
const CL = 1;

function decode({ bytes }: Vector): Decoded {
	return decoder.decode(bytes, 0, bytes.length, 32);
}

/** EFLAGS bits that the instruction's declaration leaves undefined for these operands. */
function undefinedMask(vector: Vector): number {
	const { instance, immediate, immediate2 } = decode(vector);
	if (!instance) return 0;
	const { operands, form } = instance;
	const last = operands.at(-1);
	const immediates = operands.filter(({ immediateBytes }) => immediateBytes > 0).length;
	const given = immediates > 1 ? immediate2 : immediate;
	const cl = vector.before.registers[CL]! & 0xff;
	const count = last?.kind === "one" ? 1 : last?.kind === "immediate" ? given : cl;
	const width = (operands[0]?.width || instance.size) as Width;
	return undefinedFlags(form.family, width, count).reduce((mask, flag) => mask | (1 << FLAG_BITS[flag]), 0);
}

/** Mismatches by mnemonic, with one example each. */
function summary(mismatches: readonly Mismatch[]): string {
	const groups = new Map<string, Mismatch[]>();
	for (const mismatch of mismatches) {
		const name = decode(mismatch.vector).form?.family.name ?? "no instruction";
		groups.set(name, [...(groups.get(name) ?? []), mismatch]);
	}
	return [...groups]
		.map(([name, [first, ...rest]]) => `${name}: ${rest.length + 1} mismatches\n${describeMismatch(first!)}`)
		.join("\n");
}

/**
 * A PUSHA or POPA that faults half-way has done its first half on the processor that was recorded. Here it has done
 * nothing, as every instruction that faults.
 */
function expected(vector: Vector): Vector {
	const name = vector.fault && decode(vector).form?.family.name;
	if (name !== "PUSHA" && name !== "POPA") return vector;
	return { ...vector, changes: [], after: { ...vector.after, registers: vector.before.registers } };
}

const options = { undefinedFlags: undefinedMask, fetchErrors: true, limit: 1000 };

/** Whether an INT3 behind the instruction ends the case and nothing else runs before it. */
function endsInTrap({ bytes, before, after, fault }: Vector): boolean {
	if (fault) return fault.vector !== VECTOR.BP && fault.vector !== VECTOR.OF;
	const distance = after.eip - before.eip;
	return distance < -1 || distance >= bytes.length;
}

function casesOf(family: string): Vector[] {
	return [...openFamily(family).groups].flatMap(({ vectors }) => vectors.map(expected));
}

describe.each(ENGINES)("instruction vectors on the %s", (engine) => {
	let machine: VectorMachine;
	beforeAll(async () => {
		machine = await VectorMachine.create(engine);
	});

	it.each(vectorFamilies())("%s: leave what the processor left, one instruction at a time", (family) => {
		const cases = casesOf(family);
		const { count, mismatches } = replay(cases, machine, options);
		expect(summary(mismatches)).toBe("");
		expect(count).toBe(cases.length);
	});
});

describe("instruction vectors in hot code", () => {
	/** One case in so many is tried. */
	const SAMPLE = 11;
	/** How much of a family the compiler prints itself at least; what has helpers is left to the interpreter. */
	const COMPILED_SHARE: Readonly<Record<string, number>> = {
		arithmetic: 1,
		bit: 1,
		branch: 0.75,
		move: 0.95,
		multiply: 1,
		shift: 1,
		stack: 0.5,
	};

	it.each(vectorFamilies())("%s: leave what the processor left, compiled", async (family) => {
		const cases = casesOf(family).filter((vector, n) => n % SAMPLE === 0 && endsInTrap(vector));
		const machine = await VectorMachine.create("compiled", cases.length);
		machine.ending = "trap";
		machine.rehearsals = 4;
		let compiled = 0;
		const step = machine.step.bind(machine);
		machine.step = () => {
			const fault = step();
			compiled += Number(machine.compiled);
			return fault;
		};
		const { count, mismatches } = replay(cases, machine, options);
		expect(summary(mismatches)).toBe("");
		expect(count).toBe(cases.length);
		expect(compiled / count).toBeGreaterThanOrEqual(COMPILED_SHARE[family] ?? 0);
	});
});
