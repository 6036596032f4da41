import { assert } from "../base/errors.ts";
import { type BinaryOp, type CompareOp, children, type Expr, FLAG_BITS, type Flag, type Width } from "./expr.ts";
import { ALL_FLAGS } from "./flag-use.ts";
import { meaningValues } from "./meaning-values.ts";
import { GPR, SEGMENT, VECTOR } from "./registers.ts";
import type { FlagUpdate, Load, Meaning } from "./semantics.ts";
import type { Instance } from "./table.ts";

const BINARY: Record<BinaryOp, string> = {
	add: "+",
	sub: "-",
	mul: "*",
	mulHighU: "*high",
	mulHighS: "*shigh",
	and: "&",
	or: "|",
	xor: "^",
	shl: "<<",
	shrU: ">>",
	shrS: ">>s",
	rotl: "rotl",
	rotr: "rotr",
	divU: "/",
	remU: "%",
	divS: "/s",
	remS: "%s",
};
const COMPARE: Record<CompareOp, string> = { eq: "=", ne: "≠", ltU: "<", ltS: "<s", leU: "≤", leS: "≤s" };

/** Conditions as the manual's mnemonics end (SDM 2 B.1.4.7). */
export const CONDITION_NAMES = [
	"O",
	"NO",
	"B",
	"AE",
	"E",
	"NE",
	"BE",
	"A",
	"S",
	"NS",
	"P",
	"NP",
	"L",
	"GE",
	"LE",
	"G",
] as const;

const LOW_BYTES = ["AL", "CL", "DL", "BL", "SPL", "BPL", "SIL", "DIL"];
const HIGH_BYTES = ["AH", "CH", "DH", "BH"];

/** Name of general register `number` at `width` bits. */
export function registerName(number: number, width: Width, high = false): string {
	const name = (GPR[number] ?? "").toUpperCase();
	if (high) return HIGH_BYTES[number] ?? "";
	if (number >= 8) return name + { 1: "", 8: "L", 16: "W", 32: "D", 64: "", 128: "" }[width];
	if (width === 8) return LOW_BYTES[number] ?? "";
	return width === 64 ? name : width === 32 ? `E${name.slice(1)}` : name.slice(1);
}

/** What an instruction does, one statement a line, in the order of things: values, faults, stores, registers, flags. */
export function meaningText(instance: Instance): string[] {
	return new MeaningText(instance).lines();
}

/** Prints one meaning. Values used more than once get a name, t1 and on, where they are first needed. */
class MeaningText {
	private readonly instance: Instance;
	private readonly meaning: Meaning;
	private readonly uses = new Map<Expr, number>();
	private readonly names = new Map<Expr, string>();
	/** Named values, and what is done with them: all values are those from before the instruction. */
	private readonly values: string[] = [];
	private readonly statements: string[] = [];

	constructor(instance: Instance) {
		this.instance = instance;
		this.meaning = instance.meaning;
	}

	lines(): string[] {
		const { meaning, values, statements } = this;
		const { faults, stores, writes, registers, flags, jump, helper } = meaning;
		for (const value of meaningValues(meaning)) this.count(value);
		for (const { when, vector, errorCode } of faults) {
			const name = Object.entries(VECTOR).find(([, number]) => number === vector)?.[0] ?? vector;
			this.say(`fault #${name}${errorCode === undefined ? "" : `(${errorCode})`}`, when);
		}
		if (helper) this.say(`${helper.name}(${helper.args.map((arg) => this.text(arg)).join(", ")})`);
		for (const store of stores) {
			const high = store.kind === "operand" && store.high ? `${this.top(store.high)} : ` : "";
			const value = high + this.top(store.value);
			if (store.kind === "operand") this.say(`${this.operand(store.operand)} ← ${value}`, store.when);
			else if (store.kind === "memory")
				this.say(`${this.place(store.segment, store.offset, store.value.width)} ← ${value}`);
			else this.say(`stack${store.value.width}[${store.delta}] ← ${value}`);
		}
		for (const { operand, value, high, when } of writes)
			this.say(`${this.operand(operand)} ← ${high ? `${this.top(high)} : ` : ""}${this.top(value)}`, when);
		for (const { register, high, value } of registers)
			this.say(`${registerName(register, value.width, high)} ← ${this.top(value)}`);
		this.stackPointer();
		if (flags) this.flags(flags);
		if (jump) this.say(`jump to ${this.text(jump.target)}`, jump.when);
		return statements.length > 0 ? [...values, ...statements] : ["nothing"];
	}

	private count(expr: Expr): void {
		const uses = this.uses.get(expr) ?? 0;
		this.uses.set(expr, uses + 1);
		if (uses > 0) return;
		for (const child of children(expr)) this.count(child);
	}

	private loadOf({ node }: Expr): Load | undefined {
		return node.kind === "load" ? this.meaning.loads[node.index] : undefined;
	}

	private say(statement: string, when?: Expr): void {
		this.statements.push(when ? `if ${this.top(when)}: ${statement}` : statement);
	}

	private operand(index: number): string {
		return `op${index + 1}`;
	}

	private place(segment: number | "operand", offset: Expr, width: Width): string {
		const name = segment === "operand" ? "segment" : Object.entries(SEGMENT).find(([, n]) => n === segment)?.[0];
		return `memory${width}[${name}:${this.top(offset)}]`;
	}

	private stackPointer(): void {
		const { stackDelta, stackDeltaOperand, stackFromFrame } = this.meaning;
		if (stackDelta === 0 && stackDeltaOperand === undefined) return;
		const extra = stackDeltaOperand === undefined ? "" : ` + ${this.operand(stackDeltaOperand)}`;
		const sign = stackDelta < 0 ? "-" : "+";
		this.say(`SP ← ${stackFromFrame ? "BP" : "SP"} ${sign} ${Math.abs(stackDelta)}${extra}`);
	}

	private flags(update: FlagUpdate): void {
		this.say(this.flagsText(update), update.when);
	}

	private flagsText({ kind, a, b, mask }: FlagUpdate): string {
		const result = (others: string): string => `SF ZF PF of ${this.top(a)}; ${others}`;
		if (kind === "logic") return result("CF AF OF ← 0");
		if (kind === "explicit") {
			const values = flagBits(a);
			return this.bits(
				values,
				ALL_FLAGS.filter((flag) => mask & (1 << FLAG_BITS[flag])),
			);
		}
		assert(b, "two values");
		switch (kind) {
			case "add":
			case "sub":
				return `flags of ${this.text(a)} ${BINARY[kind]} ${this.text(b)}`;
			case "carry":
				return result(`CF AF OF of the carries ${this.top(b)}`);
			case "inc":
			case "dec":
				return result(`AF OF of the ${kind}rement; CF stays`);
			case "result": {
				const values = flagBits(b);
				const known = [...values.keys()].every((bit) => bit === 0 || bit === FLAG_BITS.af || bit === FLAG_BITS.of);
				if (known) return result(this.bits(values, ["cf", "af", "of"]));
				return result(`CF AF OF ← bits 0, 4, 11 of ${this.top(b)}`);
			}
		}
	}

	private bits(values: ReadonlyMap<number, Expr>, flags: readonly Flag[]): string {
		const words = flags.map((flag) => {
			const value = values.get(FLAG_BITS[flag]);
			return `${flag.toUpperCase()} ← ${value ? this.top(value) : "0"}`;
		});
		return words.join("; ");
	}

	/** An expression that stands alone: without parentheses around it. */
	private top(expr: Expr): string {
		const text = this.text(expr);
		return /^\(.*\)$/.test(text) && balanced(text.slice(1, -1)) ? text.slice(1, -1) : text;
	}

	private text(expr: Expr): string {
		const known = this.names.get(expr);
		if (known !== undefined) return known;
		const text = this.node(expr);
		const simple = children(expr).length === 0 && this.loadOf(expr)?.kind !== "memory";
		if (simple || (this.uses.get(expr) ?? 0) < 2 || isWidening(expr)) return text;
		const name = `t${this.names.size + 1}`;
		this.names.set(expr, name);
		this.values.push(`${name} = ${/^\(.*\)$/.test(text) && balanced(text.slice(1, -1)) ? text.slice(1, -1) : text}`);
		return name;
	}

	private node(expr: Expr): string {
		const { node, width } = expr;
		switch (node.kind) {
			case "const":
				return node.value < 10n ? `${node.value}` : `0x${node.value.toString(16)}`;
			case "load":
				return this.load(this.meaning.loads[node.index], node.half);
			case "register":
				return registerName(node.register, width, node.high);
			case "immediate": {
				const operand = this.instance.operands[node.operand];
				if (!operand) return "selector";
				if (operand.kind === "relative") return "displacement";
				return operand.kind === "farPointer" ? "offset" : this.operand(node.operand);
			}
			case "flag":
				return node.flag.toUpperCase();
			case "condition":
				return `condition ${CONDITION_NAMES[node.code]}`;
			case "registerNumber":
				return `number of ${this.operand(node.operand)}`;
			case "state":
				return node.name;
			case "nextIp":
			case "effectiveAddress":
			case "segment":
			case "addressSize":
			case "addressMask":
			case "repeat":
				return LEAF_NAMES[node.kind];
			case "zext":
				return node.a.width === 1 ? this.text(node.a) : `u${width}(${this.top(node.a)})`;
			case "sext":
				return `s${width}(${this.top(node.a)})`;
			case "trunc":
				return `u${width}(${this.top(node.a)})`;
			case "unary":
				if (node.op === "neg") return `-${this.text(node.a)}`;
				if (node.op === "not") return `~${this.text(node.a)}`;
				return `${node.op}(${this.top(node.a)})`;
			case "binary":
				if (width === 1 && node.op === "xor" && node.b.node.kind === "const") return `not ${this.text(node.a)}`;
				return `(${this.text(node.a)} ${word(node.op, width)} ${this.right(node.op, node.b)})`;
			case "compare":
				return `(${this.text(node.a)} ${COMPARE[node.op]} ${this.text(node.b)})`;
			case "vector":
				return `${node.op}${node.lanes.length > 0 ? `[${node.lanes.join(" ")}]` : ""}(${this.list(node.args)})`;
			case "pure":
			case "float":
				return `${node.name}(${this.list(node.args)})`;
			case "select":
				return `(${this.text(node.condition)} ? ${this.text(node.a)} : ${this.text(node.b)})`;
		}
	}

	private list(args: readonly Expr[]): string {
		return args.map((arg) => this.top(arg)).join(", ");
	}

	/** Second operand; counts of shifts and rotates in decimal. */
	private right(op: BinaryOp, b: Expr): string {
		if (b.node.kind === "const" && /^(sh|rot)/.test(op)) return b.node.value.toString();
		return this.text(b);
	}

	private load(load: Load | undefined, half?: 1): string {
		assert(load, "a load");
		if (load.kind === "operand") return `${this.operand(load.operand)}${half ? ".high" : ""}`;
		if (load.kind === "memory") return this.place(load.segment, load.offset, load.width);
		return load.kind === "frame" ? `stack${load.width}[BP]` : `stack${load.width}[${load.delta}]`;
	}
}

const LEAF_NAMES = {
	nextIp: "nextIP",
	effectiveAddress: "address",
	segment: "segment",
	addressSize: "addressBytes",
	addressMask: "addressMask",
	repeat: "repeatPrefix",
} as const;

function word(op: BinaryOp, width: Width): string {
	if (width !== 1) return BINARY[op];
	return op === "and" ? "and" : op === "or" ? "or" : BINARY[op];
}

/** Zero-extension of a truth value reads as the value itself. */
function isWidening({ node }: Expr): boolean {
	return node.kind === "zext" && node.a.width === 1;
}

function balanced(text: string): boolean {
	let depth = 0;
	for (const character of text) {
		if (character === "(") depth++;
		else if (character === ")" && --depth < 0) return false;
	}
	return depth === 0;
}

/** Takes flags packed at their EFLAGS positions apart again: values, of which the low bit counts, by bit number. */
function flagBits(bits: Expr): Map<number, Expr> {
	const found = new Map<number, Expr>();
	const visit = (expr: Expr): void => {
		const { node } = expr;
		if (node.kind === "binary" && node.op === "or") {
			visit(node.a);
			visit(node.b);
		} else if (node.kind === "binary" && node.op === "shl" && node.b.node.kind === "const")
			found.set(Number(node.b.node.value), lowBit(node.a));
		else if (node.kind !== "const") found.set(isBit(expr) ? 0 : -1, lowBit(expr));
	};
	visit(bits);
	return found;
}

/** A value that is 0 or 1. */
function isBit({ node }: Expr): boolean {
	if (node.kind === "zext") return node.a.width === 1;
	return node.kind === "binary" && node.op === "and" && node.b.node.kind === "const" && node.b.node.value === 1n;
}

/** What a masked or widened bit comes from. */
function lowBit(expr: Expr): Expr {
	return expr.node.kind === "zext" && isBit(expr) ? expr.node.a : expr;
}
