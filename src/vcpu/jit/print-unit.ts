import { ModuleBuilder } from "../../wasm/module.ts";
import { F } from "../layout.ts";
import type { Processor } from "../processor.ts";
import { type UnitPlan, UnitPrinter } from "./unit.ts";
import { type UnitCall, UnitImports } from "./unit-imports.ts";

/** A unit as the core's table takes it. */
export interface CompiledUnit {
	readonly unit: unknown;
	/** Number to pass as the entry for each IP that can be entered. */
	readonly entries: ReadonlyMap<number, number>;
}

/** Prints a unit as a WebAssembly module of its own and instantiates it; with `fills` it fills the TLB without leaving. */
export function printUnit(
	processor: Processor,
	plan: Omit<UnitPlan, "tlbArea" | "imports"> & { readonly fills: boolean },
): CompiledUnit {
	const m = new ModuleBuilder();
	const calls: UnitCall[] = ["confirmPages", "readFlags"];
	if (processor.get(F.portHost)) calls.push("portRead", "portWrite");
	if (plan.fills) calls.push("touch");
	const imports = new UnitImports(m, processor, plan.blocks.values(), calls);
	const [root = 0] = plan.blocks.keys();
	const name = `unit_${root.toString(16)}`;
	const { f, entries } = new UnitPrinter(m, name, { ...plan, tlbArea: processor.get(F.tlbArea), imports }).print();
	m.export(f, "unit");
	const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.encode()), { env: imports.env });
	return { unit: exports["unit"], entries };
}
