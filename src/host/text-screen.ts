import type { TextCells } from "../bus/text-cells.ts";

export type { TextCells } from "../bus/text-cells.ts";

/** Code page 437, the characters of a PC's text screen, by character code. */
const CP437 = Array.from(
	" ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼" +
		" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~⌂" +
		"ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»" +
		"░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀" +
		"αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0",
);

/** A PC's colours (blue is 1) in the order of a terminal's (red is 1). */
const ANSI_COLOUR = [0, 4, 2, 6, 1, 5, 3, 7];

const character = (code: number): string => CP437[code] ?? " ";

/** The screen as lines of plain text, without trailing spaces and empty last lines. */
export function screenText({ columns, rows, cells }: TextCells): string {
	const lines: string[] = [];
	for (let row = 0; row < rows; row++) {
		let line = "";
		for (let column = 0; column < columns; column++) line += character(cells[(row * columns + column) * 2] ?? 0);
		lines.push(line.trimEnd());
	}
	return lines.join("\n").trimEnd();
}

/** Attribute byte: foreground in bits 0-3, background in bits 4-6 (bit 7, blinking, is left out). */
function colours(attribute: number): string {
	const foreground = (attribute & 8 ? 90 : 30) + ANSI_COLOUR[attribute & 7]!;
	const background = 40 + ANSI_COLOUR[(attribute >> 4) & 7]!;
	return `\x1b[${foreground};${background}m`;
}

/** Terminal codes that paint the whole screen in colours from the top left corner and place the cursor. */
export function paintScreen({ columns, rows, cells, cursor }: TextCells): string {
	let out = "\x1b[?25l\x1b[H";
	for (let row = 0; row < rows; row++) {
		let last = -1;
		for (let column = 0; column < columns; column++) {
			const at = (row * columns + column) * 2;
			const attribute = cells[at + 1] ?? 7;
			if (attribute !== last) out += colours(attribute);
			last = attribute;
			out += character(cells[at] ?? 0);
		}
		out += "\x1b[0m\x1b[K\r\n";
	}
	if (cursor === undefined) return out;
	return `${out}\x1b[${Math.floor(cursor / columns) + 1};${(cursor % columns) + 1}H\x1b[?25h`;
}
