/** The part of the WebAssembly JavaScript interface that tsvmm uses; Node's own types leave it to the DOM library. */
declare namespace WebAssembly {
	class Module {
		constructor(bytes: ArrayBufferView<ArrayBuffer> | ArrayBuffer);
	}
	class Instance {
		constructor(module: Module, imports?: Record<string, Record<string, unknown>>);
		readonly exports: Readonly<Record<string, unknown>>;
	}
	class Memory {
		constructor(descriptor: { initial: number; maximum?: number; shared?: boolean });
		readonly buffer: SharedArrayBuffer;
		grow(pages: number): number;
	}
	class Table {
		constructor(descriptor: { element: "anyfunc"; initial: number; maximum?: number });
		readonly length: number;
		get(index: number): unknown;
		set(index: number, value: unknown): void;
		grow(count: number): number;
	}
	function compile(bytes: ArrayBufferView<ArrayBuffer> | ArrayBuffer): Promise<Module>;
	function validate(bytes: ArrayBufferView<ArrayBuffer> | ArrayBuffer): boolean;
}
