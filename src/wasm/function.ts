import { assert } from "../base/errors.ts";
import { ByteWriter } from "./bytes.ts";
import { type Arg, Call, type Callee, type Ex, emitStore, Local, literal } from "./expression.ts";
import { OP, STORES, type StoreKind, VALUE_TYPES, type ValueType } from "./opcodes.ts";

/** A branch target. Only valid inside the body that received it. */
export interface Label {
	readonly depth: number;
}

/**
 * A function under construction. Statements are written as they are called; locals may be declared anywhere.
 */
export class FunctionBuilder implements Callee {
	readonly name: string;
	readonly index: number;
	readonly typeIndex: number;
	readonly params: readonly ValueType[];
	readonly results: readonly ValueType[];
	private readonly code = new ByteWriter();
	private readonly locals: ValueType[] = [];
	private readonly free: Partial<Record<ValueType, Local[]>> = {};
	/** Locals taken and not given back in the innermost {@link scope}. */
	private taken: Set<Local> | undefined;
	private depth = 0;

	constructor(
		name: string,
		index: number,
		typeIndex: number,
		params: readonly ValueType[],
		results: readonly ValueType[],
	) {
		this.name = name;
		this.index = index;
		this.typeIndex = typeIndex;
		this.params = params;
		this.results = results;
	}

	/** Bytes of code so far. */
	get size(): number {
		return this.code.length;
	}

	/** How many blocks, loops and branches the next statement is in. */
	get nesting(): number {
		return this.depth;
	}

	param(index: number): Local {
		const type = this.params[index];
		assert(type !== undefined, `parameter ${index} of ${this.name}`);
		return new Local(type, index);
	}

	/** A new local, zero at function entry only; with `init`, assigned here. */
	local(type: ValueType, init?: Arg): Local {
		const reused = this.free[type]?.pop();
		const local = reused ?? new Local(type, this.params.length + this.locals.length);
		if (!reused) this.locals.push(type);
		this.taken?.add(local);
		if (init !== undefined) this.set(local, init);
		return local;
	}

	/** A local holding the value of `value`. */
	let(value: Ex): Local {
		return this.local(value.type, value);
	}

	/** Gives a local back for reuse. */
	release(...locals: Local[]): void {
		for (const local of locals) {
			const list = this.free[local.type] ?? [];
			this.free[local.type] = list;
			list.push(local);
			this.taken?.delete(local);
		}
	}

	/**
	 * Gives back, behind `body`, every local that it has taken and not given back. Each branch to a common place costs an engine memory
	 * for each local: long functions need few.
	 */
	scope(body: () => void): void {
		const outer = this.taken;
		const taken = new Set<Local>();
		this.taken = taken;
		body();
		this.taken = outer;
		this.release(...taken);
	}

	set(local: Local, value: Arg): void {
		const given = literal(local.type, value);
		assert(given.type === local.type, `${this.name}: local ${local.index} is ${local.type}, not ${given.type}`);
		given.emit(this.code);
		this.code.u8(OP.localSet);
		this.code.u32(local.index);
	}

	store(kind: StoreKind, address: Arg, value: Arg, offset = 0): void {
		emitStore(this.code, kind, literal("i32", address), literal(STORES[kind][1], value), offset);
	}

	/** Calls for effect; a result is dropped. */
	call(callee: Callee, ...args: Arg[]): void {
		callOf(callee, args).emitStatement(this.code);
	}

	/** Evaluates for effect. */
	drop(value: Ex): void {
		value.emit(this.code);
		this.code.u8(OP.drop);
	}

	if(condition: Ex, then: () => void, otherwise?: () => void): void {
		assert(condition.type === "i32", `${this.name}: condition is ${condition.type}`);
		condition.emit(this.code);
		this.code.u8(OP.if);
		this.code.u8(0x40);
		this.depth++;
		then();
		if (otherwise) {
			this.code.u8(OP.else);
			otherwise();
		}
		this.depth--;
		this.code.u8(OP.end);
	}

	/** A block; branching to its label goes behind it. */
	block(body: (end: Label) => void): void {
		this.open(OP.block, body);
	}

	/** A loop; branching to its label goes to its start; falling out of the body ends it. */
	loop(body: (start: Label) => void): void {
		this.open(OP.loop, body);
	}

	private open(op: number, body: (label: Label) => void): void {
		this.code.u8(op);
		this.code.u8(0x40);
		this.depth++;
		body({ depth: this.depth });
		this.depth--;
		this.code.u8(OP.end);
	}

	/** Opens a block without a callback; close with {@link close}. For generators that are not nested themselves. */
	openBlock(): Label {
		this.code.u8(OP.block);
		this.code.u8(0x40);
		this.depth++;
		return { depth: this.depth };
	}

	openLoop(): Label {
		this.code.u8(OP.loop);
		this.code.u8(0x40);
		this.depth++;
		return { depth: this.depth };
	}

	close(): void {
		this.depth--;
		this.code.u8(OP.end);
	}

	/** `while (condition) body`. */
	while(condition: Ex, body: (exit: Label, next: Label) => void): void {
		this.block((exit) => {
			this.loop((next) => {
				this.brIf(exit, condition.eqz());
				body(exit, next);
				this.br(next);
			});
		});
	}

	br(label: Label): void {
		this.code.u8(OP.br);
		this.code.u32(this.depth - label.depth);
	}

	brIf(label: Label, condition: Ex): void {
		assert(condition.type === "i32", `${this.name}: condition is ${condition.type}`);
		condition.emit(this.code);
		this.code.u8(OP.brIf);
		this.code.u32(this.depth - label.depth);
	}

	brTable(index: Ex, labels: readonly Label[], otherwise: Label): void {
		index.emit(this.code);
		this.code.u8(OP.brTable);
		this.code.u32(labels.length);
		for (const label of labels) this.code.u32(this.depth - label.depth);
		this.code.u32(this.depth - otherwise.depth);
	}

	/**
	 * `switch (index)` over cases 0..n-1; no fall-through. Cases may return or branch.
	 * Gaps (undefined) and everything beyond go to `otherwise`.
	 */
	switch(index: Ex, cases: readonly ((() => void) | undefined)[], otherwise?: () => void): void {
		this.block((end) => {
			const emit = (n: number, labels: Label[], fallback: Label): void => {
				if (n < 0) {
					this.brTable(
						index,
						labels.map((label, i) => (cases[i] ? label : fallback)),
						fallback,
					);
					return;
				}
				this.block((label) => {
					labels[n] = label;
					emit(n - 1, labels, fallback);
				});
				cases[n]?.();
				this.br(end);
			};
			this.block((fallback) => emit(cases.length - 1, [], fallback));
			otherwise?.();
		});
	}

	return(value?: Arg): void {
		const [type] = this.results;
		if (value !== undefined && type !== undefined) {
			const given = literal(type, value);
			assert(given.type === type, `${this.name} returns ${type}, not ${given.type}`);
			given.emit(this.code);
		}
		this.code.u8(OP.return);
	}

	/** Returns `value` when `condition` holds. */
	returnIf(condition: Ex, value?: Arg): void {
		this.if(condition, () => this.return(value));
	}

	/** Returns the status of a call when it is not 0. */
	check(status: Ex): void {
		const local = this.local("i32");
		this.if(local.tee(status), () => this.return(local));
		this.release(local);
	}

	/** `return_call`: leaves this frame for another function. */
	tailCall(callee: Callee, ...args: Arg[]): void {
		args.forEach((arg, i) => {
			literal(callee.params[i] ?? "i32", arg).emit(this.code);
		});
		this.code.u8(OP.returnCall);
		this.code.u32(callee.index);
	}

	unreachable(): void {
		this.code.u8(OP.unreachable);
	}

	memoryCopy(destination: Ex, source: Ex, length: Arg): void {
		destination.emit(this.code);
		source.emit(this.code);
		literal("i32", length).emit(this.code);
		this.code.u8(OP.prefixFC);
		this.code.u32(OP.memoryCopy);
		this.code.u8(0);
		this.code.u8(0);
	}

	memoryFill(destination: Ex, value: Arg, length: Arg): void {
		destination.emit(this.code);
		literal("i32", value).emit(this.code);
		literal("i32", length).emit(this.code);
		this.code.u8(OP.prefixFC);
		this.code.u32(OP.memoryFill);
		this.code.u8(0);
	}

	/** The code entry as the binary format wants it (5.4.13). */
	encode(out: ByteWriter): void {
		assert(this.depth === 0, `${this.name}: unbalanced blocks`);
		const head = new ByteWriter(64);
		const runs: [number, ValueType][] = [];
		for (const type of this.locals) {
			const last = runs.at(-1);
			if (last && last[1] === type) last[0]++;
			else runs.push([1, type]);
		}
		head.u32(runs.length);
		for (const [count, type] of runs) {
			head.u32(count);
			head.u8(VALUE_TYPES[type]);
		}
		out.u32(head.length + this.code.length + 1);
		out.bytes(head.view());
		out.bytes(this.code.view());
		out.u8(OP.end);
	}
}

/** A call as an expression; literals take the parameters' types. */
export function call(callee: Callee, ...args: Arg[]): Ex {
	return callOf(callee, args);
}

class StatementCall extends Call {
	private readonly hasResult: boolean;
	constructor(callee: Callee, args: readonly Ex[]) {
		super(callee, args);
		this.hasResult = callee.results.length > 0;
	}
	emitStatement(out: ByteWriter): void {
		this.emit(out);
		if (this.hasResult) out.u8(OP.drop);
	}
}

function callOf(callee: Callee, args: readonly Arg[]): StatementCall {
	return new StatementCall(
		callee,
		args.map((arg, i) => literal(callee.params[i] ?? "i32", arg)),
	);
}
