import { assert } from "../base/errors.ts";
import { ByteWriter } from "./bytes.ts";
import { type Arg, type Callee, CallIndirect, type Ex, literal, type Signature } from "./expression.ts";
import { FunctionBuilder } from "./function.ts";
import { VALUE_TYPES, type ValueType } from "./opcodes.ts";

interface ImportedFunction extends Callee {
	readonly typeIndex: number;
}

/**
 * A WebAssembly module under construction: imported functions and memory, functions, one table, exports.
 * Imports come before definitions. Knows nothing of x86.
 */
export class ModuleBuilder {
	private readonly types: Signature[] = [];
	private readonly typeKeys = new Map<string, number>();
	private readonly imports: ImportedFunction[] = [];
	private readonly functions: FunctionBuilder[] = [];
	private readonly exported: { name: string; callee: Callee }[] = [];
	private readonly elements: { offset: number; callees: Callee[] }[] = [];
	private tableSize = 0;

	/** Index of a signature in the type section. */
	type(params: readonly ValueType[], results: readonly ValueType[]): number {
		const key = `${params.join()}>${results.join()}`;
		const known = this.typeKeys.get(key);
		if (known !== undefined) return known;
		this.types.push({ params, results });
		this.typeKeys.set(key, this.types.length - 1);
		return this.types.length - 1;
	}

	/** Imports a function as `env.<name>`. */
	import(name: string, params: readonly ValueType[], results: readonly ValueType[]): Callee {
		assert(this.functions.length === 0, "imports come before functions");
		const imported = { name, index: this.imports.length, typeIndex: this.type(params, results), params, results };
		this.imports.push(imported);
		return imported;
	}

	/** Declares a function; `define` writes its body now, otherwise fill the builder later. */
	func(
		name: string,
		params: readonly ValueType[],
		results: readonly ValueType[],
		define?: (f: FunctionBuilder) => void,
	): FunctionBuilder {
		const index = this.imports.length + this.functions.length;
		const f = new FunctionBuilder(name, index, this.type(params, results), params, results);
		this.functions.push(f);
		define?.(f);
		return f;
	}

	export(callee: Callee, name = callee.name): void {
		this.exported.push({ name, callee });
	}

	/** Gives the module a table of its own, exported as `table`, with at least `size` entries. */
	table(size: number): void {
		this.tableSize = Math.max(this.tableSize, size);
	}

	/** Puts functions into the table at `offset`. */
	element(offset: number, callees: Callee[]): void {
		this.table(offset + callees.length);
		const last = this.elements.at(-1);
		if (last && last.offset + last.callees.length === offset) last.callees.push(...callees);
		else this.elements.push({ offset, callees: [...callees] });
	}

	/** `call_indirect` through the module's table. */
	callIndirect(signature: Signature, element: Ex, ...args: Arg[]): Ex {
		const type = this.type(signature.params, signature.results);
		return new CallIndirect(
			type,
			signature,
			element,
			args.map((arg, i) => literal(signature.params[i] ?? "i32", arg)),
		);
	}

	/** The module's bytes. The memory is imported as `env.memory`, shared. */
	encode(): Uint8Array<ArrayBuffer> {
		const out = new ByteWriter(65536);
		out.bytes(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));

		const types = new ByteWriter();
		types.u32(this.types.length);
		for (const { params, results } of this.types) {
			types.u8(0x60);
			types.u32(params.length);
			for (const type of params) types.u8(VALUE_TYPES[type]);
			types.u32(results.length);
			for (const type of results) types.u8(VALUE_TYPES[type]);
		}
		out.section(1, types);

		const imports = new ByteWriter();
		imports.u32(this.imports.length + 1);
		imports.name("env");
		imports.name("memory");
		imports.u8(2);
		imports.u8(3);
		imports.u32(1);
		imports.u32(65535);
		for (const { name, typeIndex } of this.imports) {
			imports.name("env");
			imports.name(name);
			imports.u8(0);
			imports.u32(typeIndex);
		}
		out.section(2, imports);

		const functions = new ByteWriter();
		functions.u32(this.functions.length);
		for (const f of this.functions) functions.u32(f.typeIndex);
		out.section(3, functions);

		if (this.tableSize > 0) {
			const table = new ByteWriter();
			table.u32(1);
			table.u8(0x70);
			table.u8(0);
			table.u32(this.tableSize);
			out.section(4, table);
		}

		const exports = new ByteWriter();
		exports.u32(this.exported.length + (this.tableSize > 0 ? 1 : 0));
		for (const { name, callee } of this.exported) {
			exports.name(name);
			exports.u8(0);
			exports.u32(callee.index);
		}
		if (this.tableSize > 0) {
			exports.name("table");
			exports.u8(1);
			exports.u32(0);
		}
		out.section(7, exports);

		if (this.elements.length > 0) {
			const elements = new ByteWriter();
			elements.u32(this.elements.length);
			for (const { offset, callees } of this.elements) {
				elements.u8(0);
				elements.u8(0x41);
				elements.s32(offset);
				elements.u8(0x0b);
				elements.u32(callees.length);
				for (const callee of callees) elements.u32(callee.index);
			}
			out.section(9, elements);
		}

		const code = new ByteWriter(65536);
		code.u32(this.functions.length);
		for (const f of this.functions) f.encode(code);
		out.section(10, code);

		const names = new ByteWriter();
		names.name("name");
		const functionNames = new ByteWriter();
		functionNames.u32(this.imports.length + this.functions.length);
		for (const callee of [...this.imports, ...this.functions]) {
			functionNames.u32(callee.index);
			functionNames.name(callee.name);
		}
		names.section(1, functionNames);
		out.section(0, names);
		return out.take();
	}
}
