import { assert } from "../../base/errors.ts";
import { children, type Expr } from "../../isa/expr.ts";
import { FLOAT_FUNCTIONS } from "../../isa/float.ts";
import { meaningValues } from "../../isa/meaning-values.ts";
import { PURE } from "../../isa/pure.ts";
import type { Instance } from "../../isa/table.ts";
import type { Callee } from "../../wasm/expression.ts";
import type { ModuleBuilder } from "../../wasm/module.ts";
import type { ValueType } from "../../wasm/opcodes.ts";
import { floatCallee } from "../core/float/packed.ts";
import { handlerIndex } from "../handler-index.ts";
import { typeOf } from "../print-expr.ts";
import type { UnitBlock } from "./discover.ts";
import type { UnitLink } from "./unit-order.ts";

/** Functions of the core that a unit may call besides those of its instructions. */
const SIGNATURES = {
	confirmPages: [["i32", "i32", "i32"], ["i32"]],
	readFlags: [["i32"], ["i32"]],
	portRead: [["i32", "i32", "i32"], ["i32"]],
	portWrite: [["i32", "i32", "i32", "i32"], []],
	touch: [["i32", "i64", "i32", "i32"], ["i32"]],
} as const satisfies Record<string, readonly [readonly ValueType[], readonly ValueType[]]>;
export type UnitCall = keyof typeof SIGNATURES;

type Call = readonly [name: string, params: readonly ValueType[], result: ValueType];

const callsOf = new WeakMap<Instance, readonly Call[]>();

/** Functions of the core that an instruction's meaning names. */
function instanceCalls(instance: Instance): readonly Call[] {
	const known = callsOf.get(instance);
	if (known) return known;
	const calls: Call[] = [];
	const visit = (expr: Expr): void => {
		const { node } = expr;
		if (node.kind === "pure") {
			const { params, result } = PURE[node.name];
			calls.push([`pure_${node.name}`, params.map(typeOf), typeOf(result)]);
		} else if (node.kind === "float") {
			const { params, result } = FLOAT_FUNCTIONS[node.name];
			calls.push([floatCallee(node.name), ["i32", ...params.map(typeOf)], typeOf(result)]);
		}
		for (const child of children(expr)) visit(child);
	};
	for (const value of meaningValues(instance.meaning)) visit(value);
	for (const value of instance.meaning.floats) visit(value);
	callsOf.set(instance, calls);
	return calls;
}

/** What a unit calls. A module's imports come before its functions, so all are named before it is printed. */
export class UnitImports {
	/** What must be imported beside `memory`. */
	readonly links: UnitLink[] = [];
	private readonly m: ModuleBuilder;
	private readonly callees = new Map<string, Callee>();

	constructor(m: ModuleBuilder, blocks: Iterable<UnitBlock>, calls: readonly UnitCall[]) {
		this.m = m;
		for (const name of calls) {
			const [params, results] = SIGNATURES[name];
			this.add({ name }, params, results);
		}
		for (const { instructions, terminator } of blocks) {
			instructions.forEach(({ decoded }, n) => {
				const { instance } = decoded;
				if (!instance) return;
				if (terminator.kind === "handler" && n === instructions.length - 1) {
					const link = { name: handlerName(instance), handler: handlerIndex(instance) };
					this.add(link, ["i32", "i32"], ["i32"]);
				} else for (const [name, params, result] of instanceCalls(instance)) this.add({ name }, params, [result]);
			});
		}
	}

	private add(link: UnitLink, params: readonly ValueType[], results: readonly ValueType[]): void {
		if (this.callees.has(link.name)) return;
		this.callees.set(link.name, this.m.import(link.name, params, results));
		this.links.push(link);
	}

	/** A function of the core by its name. */
	get(name: string): Callee {
		const callee = this.callees.get(name);
		assert(callee, `a unit's call of ${name}`);
		return callee;
	}

	/** Whether a function was named. */
	has(call: UnitCall): boolean {
		return this.callees.has(call);
	}

	/** The handler of an instruction. */
	handler(instance: Instance): Callee {
		return this.get(handlerName(instance));
	}
}

function handlerName({ id }: Instance): string {
	return `handler_${id}`;
}
