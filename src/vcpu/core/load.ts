import { readFileSync } from "node:fs";

let module: WebAssembly.Module | undefined;

/** The core, from the file that the build printed; where there is none (running from source), printed now. */
export async function loadCore(): Promise<WebAssembly.Module> {
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
