import type { Flag, Width } from "./expr.ts";
import type { Feature } from "./features.ts";
import type { OperandCode } from "./operand.ts";
import type { Semantics } from "./semantics.ts";

/** Rules that are checked before an instruction does anything, in this order. */
export type Check =
	/** #UD in real and virtual-8086 mode. */
	| "protected"
	/** #GP(0) unless CPL is 0 (SDM 3A 5.9); real mode runs at 0, virtual-8086 mode at 3. */
	| "cpl0"
	/** #GP(0) in virtual-8086 mode with IOPL below 3. */
	| "v86iopl"
	/** #GP(0) above CPL 0 where CR4.UMIP is set (SDM 3A 2.5). */
	| "umip"
	/** #UD outside / inside 64-bit mode. */
	| "only64"
	| "not64"
	/** #NM where CR0.EM or CR0.TS is set; `fpu` also #MF where an unmasked x87 exception waits (SDM 1 8.6). */
	| "fpuNoWait"
	| "fpu"
	/** SSE must be on: #UD with CR0.EM or without CR4.OSFXSR, #NM with CR0.TS (SDM 3A 2.5). */
	| "sse"
	/** AVX must be on: #UD without CR4.OSXSAVE or with XCR0[2:1] other than 3, #NM with CR0.TS (SDM 2 2.7). */
	| "avx"
	/** #UD with CR0.EM, #NM with CR0.TS, #MF where an x87 exception waits (SDM 3A 12). */
	| "mmx";

/** Facts about one encoding beyond its bytes and operands. */
export interface FormOptions {
	/** Operand size is 64 by default in 64-bit mode (`d64`), or always (`f64`): SDM 2 table A-1. */
	readonly size64?: "d64" | "f64";
	/** Exists only outside (`i64`) or only inside (`o64`) 64-bit mode. */
	readonly mode?: "i64" | "o64";
	/** A memory operand addressed through (R)SP sees it after the pop (SDM 2B POP). */
	readonly popsFirst?: boolean;
	/** CPUID features without which this encoding does not exist; the family's own if absent. */
	readonly feature?: Feature | readonly Feature[];
	/** The meaning depends on the operand size although no operand shows it; `y`: on whether it is 64 bits. */
	readonly sized?: true | "y";
	/** A vector in memory must be aligned to its size, else #GP(0); without VEX this is so where nothing else is said. */
	readonly aligned?: boolean;
	/** Vector index in the SIB byte, which must be there (SDM 2 2.3.12); the three vector registers must differ. */
	readonly vsib?: boolean;
	/** Which of the checks `sse`, `avx`, `mmx` applies where operands do not tell. */
	readonly state?: "sse" | "avx" | "mmx" | "none";
	/** Values of ModRM.reg that exist (with `/r`); all if absent. */
	readonly reg?: readonly number[];
}

/** Flags left undefined: always these, or by the operation's width in bits and the value of the last operand (unmasked). */
export type UndefinedFlags = readonly Flag[] | ((width: Width, count: number) => readonly Flag[]);

/** Encoding in SDM notation (`80 /2 ib`, `0F B6 /r`, `40+r`), operand codes, options. */
export type FormLine = readonly [encoding: string, operands: string, options?: FormOptions];

export interface FamilyOptions {
	readonly forms: readonly FormLine[];
	/** What the instruction does, on symbolic values; run once per form and operand size. */
	readonly meaning: (x: Semantics) => void;
	/** Flags it leaves undefined (SDM 2), as in `undefined: ["af", "of"]`; a function where it depends on the count. */
	readonly undefined?: UndefinedFlags;
	/** Flags that the helper of the meaning reads and writes; for the rest of a meaning they are derived. */
	readonly helperFlags?: { readonly reads?: readonly Flag[]; readonly writes?: readonly Flag[] };
	/** Other names of the manual for some of the forms. */
	readonly aliases?: readonly string[];
	/** LOCK is allowed where the destination is memory. */
	readonly lock?: boolean;
	/** Accesses memory as with LOCK even where the prefix is absent (SDM 3A 9.1.2.1). */
	readonly lockImplied?: boolean;
	readonly checks?: readonly Check[];
	/** CPUID feature without which the instruction does not exist. */
	readonly feature?: Feature;
	/** A REP prefix has a meaning: string instructions. */
	readonly repeat?: boolean;
	/**
	 * Nothing behind it may be decoded along with it: it changes control flow, the mode, a segment, or must be the
	 * last before interrupts are looked at.
	 */
	readonly ends?: boolean;
}

/** A group of encodings with one meaning. `name` is the manual's mnemonic. */
export interface Family extends FamilyOptions {
	readonly name: string;
	readonly title: string;
}

/** Declares an instruction family. */
export function family(name: string, title: string, options: FamilyOptions): Family {
	return { name, title, ...options };
}

export type { OperandCode };

/** Flags that `family` leaves undefined at `width` bits when the value of its last operand is `count`. */
export function undefinedFlags({ undefined: flags = [] }: Family, width: Width, count: number): readonly Flag[] {
	return typeof flags === "function" ? flags(width, count) : flags;
}
