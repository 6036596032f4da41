import { readFileSync } from "node:fs";

let module: Promise<WebAssembly.Module> | undefined;

/**
 * The core, from the file that the build printed; where there is none (running from source), printed now. The first call starts its
 * compilation, which other threads do.
 */
export function loadCore(): Promise<WebAssembly.Module> {
	module ??= compileCore();
	return module;
}

async function compileCore(): Promise<WebAssembly.Module> {
	return WebAssembly.compile(await coreBytes());
}

async function coreBytes(): Promise<Uint8Array<ArrayBuffer>> {
	let bytes: Uint8Array<ArrayBuffer>;
	try {
		bytes = readFileSync(new URL("./core.wasm", import.meta.url)) as Uint8Array<ArrayBuffer>;
	} catch {
		const { buildCore } = await import("./build.ts");
		bytes = buildCore();
	}
	return bytes;
}
