import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";

let module: WebAssembly.Module | undefined;

/** The core, from the file that the build printed; where there is none (running from source), printed now. */
export async function loadCore(): Promise<WebAssembly.Module> {
	// Most of the core never runs: each function is validated when it first does. That is half of the time that this takes.
	setFlagsFromString("--wasm-lazy-validation");
	module ??= new WebAssembly.Module(await coreBytes());
	return module;
}

async function coreBytes(): Promise<Uint8Array<ArrayBuffer>> {
	try {
		return new Uint8Array(readFileSync(new URL("./core.wasm", import.meta.url)));
	} catch {
		const { buildCore } = await import("./build.ts");
		return buildCore();
	}
}
