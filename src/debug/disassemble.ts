import { createRequire } from "node:module";
import type * as Iced from "iced-x86";
import type { CodeMode } from "./rom-write.ts";

let loaded: { readonly iced: typeof Iced; readonly formatter: Iced.Formatter } | undefined;

/** Loading takes tens of milliseconds, so only who needs a disassembly pays; synchronously, because callers are in a run. */
function load(): NonNullable<typeof loaded> {
	if (loaded === undefined) {
		const iced = createRequire(import.meta.url)("iced-x86") as typeof Iced;
		const formatter = new iced.Formatter(iced.FormatterSyntax.Nasm);
		formatter.hexPrefix = "0x";
		formatter.hexSuffix = "";
		formatter.uppercaseHex = false;
		formatter.spaceAfterOperandSeparator = true;
		loaded = { iced, formatter };
	}
	return loaded;
}

const BITS: Readonly<Record<CodeMode, 16 | 32 | 64>> = { real: 16, v86: 16, prot16: 16, prot32: 32, long: 64 };

/** One instruction as text, in NASM's syntax. */
export interface Disassembly {
	readonly text: string;
	/** Bytes; 0 where `code` holds no whole instruction. */
	readonly length: number;
}

/** Disassembles the first instruction in `code`, which lies at offset `rip` of its code segment. */
export function disassemble(code: Uint8Array, mode: CodeMode, rip: bigint): Disassembly {
	const { iced, formatter } = load();
	const decoder = new iced.Decoder(BITS[mode], code, iced.DecoderOptions.None);
	decoder.ip = rip;
	const instruction = decoder.decode();
	try {
		if (decoder.lastError !== iced.DecoderError.None) return { text: "(bad)", length: 0 };
		return { text: formatter.format(instruction), length: instruction.length };
	} finally {
		instruction.free();
		decoder.free();
	}
}
