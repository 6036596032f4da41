import type { OpcodeSlot } from "./opcode-set.ts";
import type { Form, InstructionTable } from "./table.ts";

const MAP_NAMES = ["one-byte opcodes", "0F", "0F 38", "0F 3A", "", "VEX 0F", "VEX 0F 38", "VEX 0F 3A"];
const MAP_PREFIX = ["", "0F ", "0F 38 ", "0F 3A "];
const PREFIX_NAMES = ["", "66 ", "F3 ", "F2 "];

const hex = (value: number): string => value.toString(16).toUpperCase().padStart(2, "0");

/**
 * Which instruction each opcode is: a 16x16 grid of names for each opcode map, then every encoding on a line, then those that
 * are gone or new in 64-bit mode.
 */
export function opcodeMap(table: InstructionTable): string {
	const parts: string[] = [];
	for (const map of MAP_NAMES.keys()) {
		const slots = table.opcodes(false).map(map);
		const [lines, longLines] = [list(map, slots), list(map, table.opcodes(true).map(map))];
		if (lines.length === 0 && longLines.length === 0) continue;
		const gone = lines.filter((line) => !longLines.includes(line));
		const added = longLines.filter((line) => !lines.includes(line));
		parts.push(`${MAP_NAMES[map]}\n\n${grid(slots)}`, lines.join("\n"));
		if (gone.length > 0) parts.push(`${MAP_NAMES[map]} that 64-bit mode does not have\n\n${gone.join("\n")}`);
		if (added.length > 0) parts.push(`${MAP_NAMES[map]} that only 64-bit mode has\n\n${added.join("\n")}`);
	}
	return `${parts.join("\n\n")}\n`;
}

function distinct(slot: OpcodeSlot | undefined): Form[] {
	return [...new Set([...(slot?.forms ?? []), ...(slot?.exact?.values() ?? [])])].filter((form) => form !== undefined);
}

function grid(slots: readonly (OpcodeSlot | undefined)[]): string {
	const width = 9;
	const cell = (opcode: number): string => {
		const names = [...new Set(distinct(slots[opcode]).map((form) => form.family.name))];
		const joined = names.join("/");
		return joined.length > width ? "(group)" : joined || ".";
	};
	const digits = [...Array(16).keys()];
	const rows = digits.map((high) => {
		const cells = digits.map((low) => cell(high * 16 + low).padEnd(width));
		return `${hex(high * 16)} ${cells.join(" ")}`.trimEnd();
	});
	return [
		`   ${digits.map((low) => `x${low.toString(16).toUpperCase()}`.padEnd(width)).join(" ")}`.trimEnd(),
		...rows,
	].join("\n");
}

/** Encodings in order; a form that several ModRM.reg values share is listed once for them. */
function list(map: number, slots: readonly (OpcodeSlot | undefined)[]): string[] {
	const lines: string[] = [];
	for (const [opcode, slot] of slots.entries()) {
		if (!slot) continue;
		for (const form of distinct(slot)) {
			const places = [...slot.forms.entries()].filter(([, other]) => other === form).map(([place]) => place);
			if (form.encoding.vex) {
				const name = `${form.family.name} ${form.operandCodes.join(", ")}`;
				lines.push(`${form.encoding.text.padEnd(32)} ${name}`);
				continue;
			}
			const prefixes = new Set(places.map((place) => (place >> 4) & 3));
			// All four prefixes, or the one that the encoding demands: anything else is a form that another one limits.
			const prefix = form.encoding.prefix > 0 ? PREFIX_NAMES[[...prefixes][0] ?? 0] : "";
			const wide = form.encoding.rexW ? "REX.W " : "";
			const digits = [...new Set(places.map((place) => place & 7))];
			const { exact } = form.encoding;
			if (exact !== undefined) {
				const code = `${MAP_PREFIX[map]}${hex(opcode)} ${hex(exact)}`;
				lines.push(`${code.padEnd(20)} ${`${form.family.name} ${form.operandCodes.join(", ")}`.trimEnd()}`);
				continue;
			}
			const modrm = !slot.hasModrm ? "" : digits.length === 8 ? " /r" : ` /${digits.join("")}`;
			const where = form.mod === "memory" ? " mem" : form.mod === "register" ? " reg" : "";
			const code = `${prefix}${wide}${MAP_PREFIX[map]}${hex(opcode)}${modrm}${where}`;
			lines.push(`${code.padEnd(20)} ${`${form.family.name} ${form.operandCodes.join(", ")}`.trimEnd()}`);
		}
	}
	return lines;
}
