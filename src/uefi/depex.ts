import { u8At } from "./bytes.ts";
import { GUID_SIZE, guidAt } from "./guid.ts";
import { knownName } from "./guid-names.ts";

/** PI 1.7, volume 2, 10.7: what each opcode is called, and whether a GUID follows. */
const OPCODES: readonly (readonly [name: string, guid: boolean])[] = [
	["before", true],
	["after", true],
	["", true],
	["and", false],
	["or", false],
	["not", false],
	["true", false],
	["false", false],
	["end", false],
	["start on request", false],
];

/** A dependency expression as it is stored, operators after their operands: `PcdPpi MemoryDiscovered and`. */
export function depexText(bytes: Uint8Array): string {
	const words: string[] = [];
	for (let at = 0; at < bytes.length; ) {
		const [name, guid] = OPCODES[u8At(bytes, at)] ?? [`?${u8At(bytes, at).toString(16).padStart(2, "0")}`, false];
		at++;
		if (name === "end") break;
		if (name !== "") words.push(name);
		if (!guid) continue;
		const value = guidAt(bytes, at);
		words.push(knownName(value) ?? value);
		at += GUID_SIZE;
	}
	return words.join(" ");
}
