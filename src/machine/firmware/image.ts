import { readFileSync } from "node:fs";

/** An image of `firmware/`, which is part of the package. */
export function firmwareImage(name: "linuxboot.bin" | "services.bin"): Uint8Array {
	return new Uint8Array(readFileSync(new URL(`../../../firmware/${name}`, import.meta.url)));
}
