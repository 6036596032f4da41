import { join } from "node:path";
import type { Module } from "../boot/kernel.ts";
import type { MachineConfig } from "../config/index.ts";
import { readImage } from "../host/read-file.ts";

const CONDITION = " with this --memory";

/** @throws UserError for a file that is missing, empty, or larger than RAM. */
export function readKernel(path: string, { memoryBytes }: Pick<MachineConfig, "memoryBytes">): Uint8Array {
	return readImage(path, "--kernel", memoryBytes, CONDITION);
}

/** The files of `--initrd`: one, or several with arguments behind a space, separated by commas. */
export function readModules({ initrd, memoryBytes }: MachineConfig, take: "one" | "several"): Module[] {
	if (initrd === undefined) return [];
	const texts = take === "one" ? [initrd.text] : initrd.text.split(",").map((each) => each.trim());
	return texts.map((text) => {
		const space = take === "one" ? -1 : text.indexOf(" ");
		const file = space < 0 ? text : text.slice(0, space);
		const path = initrd.folder === undefined || file.startsWith("/") ? file : join(initrd.folder, file);
		return { name: `--initrd: ${path}`, bytes: readImage(path, "--initrd", memoryBytes, CONDITION), text };
	});
}
