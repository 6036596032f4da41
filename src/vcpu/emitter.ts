import { assert } from "../base/errors.ts";
import type { Expr, Width } from "../isa/expr.ts";
import type { Check } from "../isa/family.ts";
import { meaningValues } from "../isa/meaning-values.ts";
import type { Operand } from "../isa/operand.ts";
import type { AccessWidth, FlagUpdate, Store } from "../isa/semantics.ts";
import type { Instance } from "../isa/table.ts";
import type { Ex, Local } from "../wasm/expression.ts";
import type { FunctionBuilder } from "../wasm/function.ts";
import { ExprPrinter, type Leaves } from "./print-expr.ts";

/** Where a memory operand is, between its load and its store. */
export type Place = { readonly host: Local; readonly linear: Local };

/** A loaded value; of an access of 256 bits, `high` is the upper half. With `place`, where it was. */
export interface Loaded {
	readonly value: Local;
	readonly high?: Local;
	readonly place?: Place;
}

/** What an engine must say about where operands live; the order of events is {@link emitInstruction}'s. */
export interface Target extends Leaves {
	readonly f: FunctionBuilder;
	/** Emits one of the generic checks; a failing one leaves with its fault. */
	check(check: Check): void;
	/** Value of a register operand: `width` bits, or bits 255:128 of a vector register. */
	readRegister(operand: Operand, width: Width, half?: 1): Ex;
	/** As in {@link Meaning.writes}; `width` is the value's. */
	writeRegister(operand: Operand, value: Ex, width: Width, high: Ex | undefined): void;
	/** Behind everything that may fault: the x87 registers become MMX registers (SDM 3A 12.1). */
	enterMmx(): void;
	/** Around SSE arithmetic: before the first one; behind the last, leaving where an exception is unmasked. */
	beginFloat(): void;
	endFloat(): void;
	/** Behind everything that may fault: the flags of SSE arithmetic go to MXCSR. */
	commitFloat(): void;
	setRegister(register: number, width: Width, high: boolean, value: Ex): void;
	/** Offset of a memory operand in its segment, i64. */
	operandOffset(operand: Operand): Ex;
	/**
	 * Reads memory into a local; leaves on a fault. With `place`, notes where, for {@link storePlace}. `aligned`: #GP(0) where
	 * the address is no multiple of the size.
	 */
	loadMemory(segment: number | "operand", offset: Ex, width: AccessWidth, modify: boolean, aligned?: boolean): Loaded;
	/** `high`: bits 255:128 of a store of 256. */
	storeMemory(segment: number | "operand", offset: Ex, width: Width, value: Ex, aligned?: boolean, high?: Ex): void;
	storePlace(place: Place, width: Width, value: Ex): void;
	/** Stack pointer plus `delta`, wrapped to the stack's size, i64. */
	stackOffset(delta: number): Ex;
	/** (R)BP wrapped to the stack's size, i64. */
	frameOffset(): Ex;
	/** Makes several stores of a stack frame safe: checks `bytes` below the stack pointer. */
	probeStack(bytes: number): void;
	/** Moves the stack pointer by `delta` bytes plus, where given, an immediate. */
	moveStack(delta: number, extra: Ex | undefined, fromFrame: boolean): void;
	setFlags(update: FlagUpdate, values: FlagValuesPrinter): void;
	/** Leaves with a fault, always or where `when` holds. */
	fault(vector: number, errorCode: number | undefined, when: Ex | undefined): void;
	jump(target: Ex, width: Width, when: Ex | undefined, commit: () => void): void;
	helper(name: string, args: readonly Ex[]): void;
	/** The end of an instruction that did not jump or call a helper. */
	done(stored: boolean): void;
}

/** Prints the parts of a flag update when the target wants them. */
export interface FlagValuesPrinter {
	print(expr: Expr): Ex;
	conditional(body: () => void): void;
}

/**
 * Prints one instruction: checks, loads, faults, stores, then – nothing can fail any more – flags and registers.
 * The difference between the engines is only where an operand comes from.
 */
export function emitInstruction(
	instance: Instance,
	target: Target,
	setLoads: (loads: Local[], highs: (Local | undefined)[]) => void,
): void {
	const { f } = target;
	const { meaning } = instance;
	const printer = new ExprPrinter(f, target);
	for (const value of meaningValues(meaning)) printer.count(value);
	const { checks } = instance.form;
	for (const check of checks) target.check(check);

	const loads: Local[] = [];
	const highs: (Local | undefined)[] = [];
	setLoads(loads, highs);
	const places: (Place | undefined)[] = [];
	for (const load of meaning.loads) {
		if (load.kind === "operand") {
			const operand = operandOf(instance, load.operand);
			if (!inMemory(instance, operand)) {
				const width = load.width === 256 ? 128 : load.width;
				loads.push(f.let(target.readRegister(operand, width)));
				highs.push(load.width === 256 ? f.let(target.readRegister(operand, 128, 1)) : undefined);
				places.push(undefined);
				continue;
			}
			const { value, high, place } = target.loadMemory(
				"operand",
				target.operandOffset(operand),
				load.width,
				load.modify,
				alignedAt(instance, load.width),
			);
			loads.push(value);
			highs.push(high);
			places.push(place);
		} else if (load.kind === "memory") {
			const { value, place } = target.loadMemory(load.segment, printer.print(load.offset), load.width, load.modify);
			loads.push(value);
			highs.push(undefined);
			places.push(place);
		} else {
			const offset = load.kind === "stack" ? target.stackOffset(load.delta) : target.frameOffset();
			loads.push(target.loadMemory(2, offset, load.width, false).value);
			highs.push(undefined);
			places.push(undefined);
		}
	}
	for (const { when, vector, errorCode } of meaning.faults) {
		target.fault(vector, errorCode, when && printer.print(when));
		if (!when) return;
	}
	if (meaning.helper) {
		target.helper(
			meaning.helper.name,
			meaning.helper.args.map((arg) => printer.print(arg)),
		);
		return;
	}

	// Also where a floating-point exception follows: measured.
	if (checks.includes("mmx") && meaning.stores.length === 0) target.enterMmx();
	if (meaning.floats.length > 0) {
		target.beginFloat();
		for (const value of meaning.floats) printer.keep(value);
		target.endFloat();
	}
	const stackStores = meaning.stores.filter((store) => store.kind === "stack").length;
	if (stackStores > 1) target.probeStack(-meaning.stackDelta);
	// The jump target is checked before the return address is pushed.
	const jumpTarget = meaning.jump && f.let(printer.print(meaning.jump.target));
	const jumpWhen = meaning.jump?.when && f.let(printer.print(meaning.jump.when));
	const storeOne = (store: Store): void => {
		const value = f.let(printer.print(store.value));
		const { width } = store.value;
		if (store.kind === "stack") target.storeMemory(2, target.stackOffset(store.delta), width, value);
		else if (store.kind === "memory") {
			const from = store.modify ? meaning.loads.findIndex((load) => load.kind === "memory" && load.modify) : -1;
			const place = places[from];
			if (place) target.storePlace(place, width, value);
			else target.storeMemory(store.segment, printer.print(store.offset), width, value);
		} else {
			const from = meaning.loads.findIndex((load) => load.kind === "operand" && load.operand === store.operand);
			const place = places[from];
			if (place) target.storePlace(place, width, value);
			else {
				const high = store.high && f.let(printer.print(store.high));
				const offset = target.operandOffset(operandOf(instance, store.operand));
				const aligned = alignedAt(instance, high ? 256 : width);
				target.storeMemory("operand", offset, width, value, aligned, high);
			}
		}
	};
	const stores = (): void => {
		for (const store of meaning.stores) {
			const when = store.kind === "operand" && store.when;
			if (when) f.if(printer.print(when), () => printer.conditional(() => storeOne(store)));
			else storeOne(store);
		}
	};
	const commit = (): void => {
		if (meaning.floats.length > 0) target.commitFloat();
		// All values first: a commit must not change what another one reads.
		const writes = meaning.writes.map(
			({ operand, value, high, when }) =>
				[
					operandOf(instance, operand),
					value.width,
					f.let(printer.print(value)),
					high && f.let(printer.print(high)),
					when && f.let(printer.print(when)),
				] as const,
		);
		const registers = meaning.registers.map((entry) => [entry, f.let(printer.print(entry.value))] as const);
		const extra =
			meaning.stackDeltaOperand === undefined ? undefined : target.immediate(meaning.stackDeltaOperand, 32, false);
		if (meaning.flags) target.setFlags(meaning.flags, printer);
		if (meaning.stackDelta !== 0 || extra) target.moveStack(meaning.stackDelta, extra, meaning.stackFromFrame);
		for (const [{ register, high, value }, local] of registers) target.setRegister(register, value.width, high, local);
		for (const [operand, width, local, high, when] of writes) {
			const write = (): void => target.writeRegister(operand, local, width, high);
			if (when) f.if(when, write);
			else write();
		}
	};
	if (meaning.jump && jumpTarget) {
		target.jump(jumpTarget, meaning.jump.target.width, jumpWhen, () => {
			stores();
			commit();
		});
		return;
	}
	stores();
	if (checks.includes("mmx") && meaning.stores.length > 0) target.enterMmx();
	commit();
	target.done(meaning.stores.length > 0);
}

function operandOf(instance: Instance, index: number): Operand {
	const operand = instance.operands[index];
	assert(operand !== undefined, `operand ${index}`);
	return operand;
}

/** Whether an access of `width` bits to the memory operand must be aligned. */
function alignedAt({ form }: Instance, width: AccessWidth): boolean {
	return form.aligned && width >= 128;
}

/** Whether the operand lies in memory in this variant. */
export function inMemory(instance: Instance, operand: Operand): boolean {
	return operand.kind === "offset" || (operand.kind === "rm" && instance.rm === "memory");
}
