import { UserError } from "../base/errors.ts";
import type { Check, Family } from "./family.ts";
import { flagUse } from "./flag-use.ts";
import { instructionTable } from "./index.ts";
import { meaningText } from "./meaning-text.ts";
import type { OperandSize } from "./operand.ts";
import type { Form, Instance } from "./table.ts";

/**
 * Everything the declarations say of a mnemonic (`add`, `jz`) or an encoding (`83 /2`, `0F AF`), as text for people.
 * @throws UserError with the nearest names where there is no such instruction.
 */
export function describe(query: string): string {
	const { families, forms } = instructionTable();
	const name = query.trim().toUpperCase();
	const named = families.filter((family) => family.name === name || family.aliases?.includes(name));
	if (named.length > 0)
		return named
			.map((family) =>
				describeForms(
					family,
					forms.filter((form) => form.family === family),
				),
			)
			.join("\n\n");
	const encoded = formsEncoded(forms, name);
	if (encoded.length > 0) {
		const owners = [...new Set(encoded.map((form) => form.family))];
		return owners
			.map((family) =>
				describeForms(
					family,
					encoded.filter((form) => form.family === family),
				),
			)
			.join("\n\n");
	}
	const hint = looksLikeBytes(name) ? "" : nearestNames(families, name);
	throw new UserError(`no instruction "${query.trim()}"${hint}; ask by mnemonic (add) or encoding (83 /2, 0f af)`);
}

/** Bytes of an opcode with an optional `/digit`. */
function looksLikeBytes(name: string): boolean {
	return /^([0-9A-F]{2}\s*)+(\/[0-7R])?$/.test(name);
}

function formsEncoded(forms: readonly Form[], name: string): Form[] {
	if (!looksLikeBytes(name)) return [];
	const digit = /\/([0-7R])$/.exec(name)?.[1];
	const bytes = (name.replace(/\/.$/, "").match(/[0-9A-F]{2}/g) ?? []).map((byte) => Number.parseInt(byte, 16));
	return forms.filter(({ encoding, options }) => {
		const { prefix, map, opcode, plusRegister, modrm } = encoding;
		const lead = [...(prefix > 0 ? [prefix] : []), ...[[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][map]!];
		// A mandatory prefix may be left out of the question.
		const rest = bytes.length === lead.length + 1 ? lead : lead.slice(prefix > 0 ? 1 : 0);
		if (bytes.length !== rest.length + 1 || rest.some((byte, n) => byte !== bytes[n])) return false;
		const last = bytes.at(-1)!;
		if (plusRegister ? (last & 0xf8) !== opcode : last !== opcode) return false;
		if (digit === undefined) return true;
		if (digit === "R" || typeof modrm !== "number")
			return modrm === "r" && options.reg?.includes(Number(digit)) !== false;
		return modrm === Number(digit);
	});
}

/** Names that begin as `name` does, as far as any do. */
function nearestNames(families: readonly Family[], name: string): string {
	const names = families.flatMap((family) => [family.name, ...(family.aliases ?? [])]);
	for (let length = name.length; length > 0; length--) {
		const alike = names.filter((other) => other.startsWith(name.slice(0, length)));
		if (alike.length > 0) return ` (near: ${[...new Set(alike)].sort().slice(0, 8).join(", ")})`;
	}
	return "";
}

const CHECKS: Record<Check, string> = {
	protected: "#UD in real and virtual-8086 mode",
	cpl0: "#GP(0) unless CPL is 0",
	v86iopl: "#GP(0) in virtual-8086 mode with IOPL below 3",
	umip: "#GP(0) above CPL 0 where CR4.UMIP is set",
	only64: "#UD outside 64-bit mode",
	not64: "#UD in 64-bit mode",
	fpuNoWait: "#NM where CR0.EM or CR0.TS is set",
	fpu: "#NM where CR0.EM or CR0.TS is set; #MF where an unmasked x87 exception waits",
	sse: "#UD with CR0.EM or without CR4.OSFXSR, #NM with CR0.TS",
	avx: "#UD without CR4.OSXSAVE or with XCR0[2:1] other than 3, #NM with CR0.TS",
	mmx: "#UD with CR0.EM, #NM with CR0.TS, #MF where an x87 exception waits",
};

function describeForms(family: Family, forms: readonly Form[]): string {
	const also = family.aliases && family.aliases.length > 0 ? ` (also ${family.aliases.join(", ")})` : "";
	const lines = [`${family.name}${also}: ${family.title}`, "", "  Forms"];
	const width = Math.max(...forms.map((form) => form.encoding.text.length)) + 3;
	const codes = Math.max(...forms.map((form) => form.operandCodes.join(", ").length)) + 3;
	for (const form of forms) {
		const words = form.operandCodes.map((code) => operandText(code, form)).join(", ");
		const notes = formNotes(form);
		lines.push(
			`    ${form.encoding.text.padEnd(width)}${form.operandCodes.join(", ").padEnd(codes)}${words}${notes}`.trimEnd(),
		);
	}
	lines.push("", ...facts(family, forms), "");
	const meanings = distinctMeanings(forms);
	for (const { instance, text } of meanings) {
		lines.push(`  Meaning${meanings.length > 1 ? ` of ${instanceText(instance)}` : ` (${instanceText(instance)})`}`);
		lines.push(...text.map((line) => `    ${line}`));
	}
	return lines.join("\n");
}

function formNotes({ options, family }: Form): string {
	const { size64, feature } = options;
	const notes = [
		...(size64 ? [`64 bits in 64-bit mode${size64 === "d64" ? " unless by 66" : ""}`] : []),
		...(feature && feature !== family.feature ? [`with ${feature}`] : []),
		...(options.mode === "i64" ? ["not in 64-bit mode"] : []),
		...(options.mode === "o64" ? ["only in 64-bit mode"] : []),
		...(options.reg ? [`ModRM.reg ${options.reg.join(" ")}`] : []),
	];
	return notes.length > 0 ? `   [${notes.join("; ")}]` : "";
}

function facts(family: Family, forms: readonly Form[]): string[] {
	const instances = forms.flatMap((form) => Object.values(form.instances).flat()).filter((one) => one !== undefined);
	const uses = instances.map(flagUse);
	const list = (flags: Iterable<string>): string => [...new Set(flags)].sort().join(" ").toUpperCase() || "none";
	const undefinedFlags = family.undefined ?? [];
	const lines = [
		`  Flags read       ${list(uses.flatMap(({ reads }) => [...reads]))}`,
		`  Flags written    ${list(uses.flatMap(({ writes }) => [...writes]))}`,
	];
	if (typeof undefinedFlags === "function") {
		const once = list(undefinedFlags(32, 1));
		lines.push(`  Flags undefined  by a count of 0 none, of 1 ${once}, of 2 ${list(undefinedFlags(32, 2))}`);
	} else lines.push(`  Flags undefined  ${list(undefinedFlags)}`);
	if (family.feature) lines.push(`  Feature          ${family.feature}`);
	for (const check of family.checks ?? []) lines.push(`  Check            ${CHECKS[check]}`);
	if (family.lock)
		lines.push(`  LOCK             where the destination is memory${family.lockImplied ? "; implied there" : ""}`);
	if (family.repeat) lines.push("  REP              repeats it up to (R/E)CX times");
	return lines;
}

const SIZE_TEXT: Readonly<Record<string, string>> = {
	b: "8",
	w: "16",
	d: "32",
	q: "64",
	v: "16/32/64",
	z: "16/32",
	y: "32/64",
	dq: "128",
	qq: "256",
	ss: "32",
	sd: "64",
	x: "128/256",
	ps: "128/256",
	pd: "128/256",
};

/** An operand code of a form in the words of the manual's instruction pages. */
function operandText(code: string, { options, encoding }: Form): string {
	const words = operandWords(code);
	if (options.mode === "i64") return words.replaceAll("16/32/64", "16/32");
	if (!/^.(qq|x|ps|pd)$/.test(code)) return words;
	const wide = encoding.vex?.l === 1;
	return words.replace("128/256", wide ? "256" : "128").replace("xmm", wide ? "ymm" : "xmm");
}

function operandWords(code: string): string {
	const size = SIZE_TEXT[code.slice(1)] ?? "";
	switch (code) {
		case "sIb":
			return "imm8 sign-extended";
		case "RvMw":
			return "r16/32/64 or m16";
		case "RyMb":
		case "RyMw":
			return `r32/64 or m${code === "RyMb" ? 8 : 16}`;
		case "rAX":
			return "AX/EAX/RAX";
		case "eAX":
			return "AX/EAX";
		case "Mp":
		case "Ap":
			return code === "Mp" ? "m16:16/32/64" : "ptr16:16/32";
		case "Ma":
			return "m16&16/m32&32";
		case "Sw":
			return "Sreg";
		case "ST":
		case "STi":
			return code === "ST" ? "ST(0)" : "ST(i)";
	}
	if (/^[A-Z]{2}$/.test(code) || code === "1") return code;
	const letters: Readonly<Record<string, string>> = {
		E: "r/m",
		M: "m",
		R: "r",
		G: "r",
		Z: "r",
		I: "imm",
		J: "rel",
		O: "moffs",
		X: "[rSI]",
		Y: "[rDI]",
		B: "r",
		V: "xmm",
		W: "xmm/m",
		U: "xmm",
		H: "xmm",
		L: "xmm",
		P: "mm",
		Q: "mm/m",
		N: "mm",
	};
	const letter = code[0] ?? "";
	if (letter === "X" || letter === "Y") return `m${size} at ${letter === "X" ? "DS:rSI" : "ES:rDI"}`;
	if (letter === "C") return "CRn";
	if (letter === "D") return "DRn";
	if ("VUHLPN".includes(letter)) return letters[letter] ?? "";
	return `${letters[letter] ?? letter}${size}`;
}

/** One instance for each meaning that differs in more than widths and constants. */
function distinctMeanings(forms: readonly Form[]): { instance: Instance; text: string[] }[] {
	const found = new Map<string, { instance: Instance; text: string[] }>();
	const sizes: readonly OperandSize[] = [32, 16, 64];
	// Forms of full size first: they show the pattern best.
	for (const form of [...forms].sort((a, b) => Number(b.sized) - Number(a.sized))) {
		const size = sizes.find((one) => form.instances[one]);
		for (const instance of (size && form.instances[size]) ?? []) {
			if (!instance) continue;
			const text = meaningText(instance);
			const pattern = text.join("\n").replace(/0x[0-9a-f]+|\d+/g, "#");
			if (!found.has(pattern)) found.set(pattern, { instance, text });
		}
	}
	return [...found.values()];
}

function instanceText({ form, size, rm, operands }: Instance): string {
	const place = rm === "none" || form.mod !== "any" ? "" : `, r/m in ${rm === "memory" ? "memory" : "a register"}`;
	const width = operands.find((operand) => operand.width !== 0)?.width;
	return `${form.encoding.text}${form.sized ? `, ${size} bits` : width && !form.encoding.vex ? `, ${width} bits` : ""}${place}`;
}
