import { describe, expect, it } from "vitest";
import { paintScreen, screenText, type TextCells } from "../../src/host/text-screen.ts";

function screen(rows: readonly string[], attribute = 0x07, cursor?: number): TextCells {
	const columns = 10;
	const cells = new Uint8Array(rows.length * columns * 2);
	rows.forEach((row, y) => {
		for (let x = 0; x < columns; x++) cells.set([row.padEnd(columns).charCodeAt(x), attribute], (y * columns + x) * 2);
	});
	return { columns, rows: rows.length, cells, cursor };
}

describe("a text screen as plain text", () => {
	it("has no trailing spaces and no empty lines at its end", () => {
		expect(screenText(screen(["SeaBIOS", "", "  ok", "", ""]))).toBe("SeaBIOS\n\n  ok");
	});

	it("shows code page 437: one character for every code, the ASCII ones as they are", () => {
		const all = screenText(screen([String.fromCharCode(...Array.from({ length: 10 }, (_, at) => 0xb0 + at))]));
		expect(all).toBe("░▒▓│┤╡╢╖╕╣");
		for (let code = 0x21; code < 0x7f; code++)
			expect(screenText(screen([String.fromCharCode(code)]))).toBe(String.fromCharCode(code));
		expect(screenText(screen(["\x01\x1f\x7f\x80\xff|"]))).toBe("☺▼⌂Ç\u00a0|");
	});
});

describe("a text screen for a terminal", () => {
	it("turns PC colours into the terminal's, bright ones too", () => {
		expect(paintScreen(screen(["x"], 0x1e))).toContain("\x1b[93;44mx");
		expect(paintScreen(screen(["x"], 0x4f))).toContain("\x1b[97;41mx");
	});

	it("places the cursor by row and column, or hides it", () => {
		expect(paintScreen(screen(["", ""], 7, 13)).endsWith("\x1b[2;4H\x1b[?25h")).toBe(true);
		expect(paintScreen(screen(["", ""]))).not.toContain("\x1b[?25h");
	});
});
