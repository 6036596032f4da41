import { expect, test } from "vitest";
import {
	Machine,
	machineConfig,
	nullSink,
	RomWriteJournal,
	screenText,
	silentLogger,
	type TextCells,
} from "../../src/index.ts";
import { type Code, exit, temporaryFiles, tinyRom } from "../support/tiny-rom.ts";

const file = temporaryFiles();

/** mov ax, 0xb800; mov ds, ax; then each character with its colour, from `place` on. */
const show = (text: string, place: number, attribute = 0x07): Code => [
	...[0xb8, 0x00, 0xb8, 0x8e, 0xd8],
	...[...text].flatMap((char, n) => {
		const at = 2 * (place + n);
		return [0xc7, 0x06, at & 0xff, at >> 8, char.charCodeAt(0), attribute];
	}),
];

async function screens(code: Code, display: "text" | "none"): Promise<TextCells[]> {
	const shown: TextCells[] = [];
	const config = machineConfig({ bios: file("rom", tinyRom(code)), memory: "1M", display, "max-instructions": "1M" });
	const machine = new Machine(config, {
		serial: [{ output: nullSink }],
		debugcon: nullSink,
		log: silentLogger,
		romWrites: new RomWriteJournal(),
		screen: (screen) => shown.push(screen),
	});
	await machine.run();
	return shown;
}

test("the VGA text screen is shown at the end of a run", async () => {
	const [last] = await screens([...show("Hello", 0), ...show("world", 85, 0x1e), ...exit(0)], "text");
	expect(screenText(last!)).toBe("Hello\n     world");
	expect([last!.columns, last!.rows, last!.cells[2 * 85 + 1]]).toEqual([80, 25, 0x1e]);
});

test("the text buffer is memory: it reads back what was stored, at once", async () => {
	// mov al, [0]; out 0xf4, al
	const config = { bios: file("rom", tinyRom([...show("A", 0), 0xa0, 0x00, 0x00, 0xe6, 0xf4])), memory: "1M" };
	const host = {
		serial: [{ output: nullSink }],
		debugcon: nullSink,
		log: silentLogger,
		romWrites: new RomWriteJournal(),
	};
	const { end } = await new Machine(machineConfig({ ...config, display: "text" }), host).run();
	expect(end).toEqual({ kind: "debug-exit", value: 0x41 });
});

test("a machine without a display has nothing to show", async () => {
	expect(await screens([...show("Hello", 0), ...exit(0)], "none")).toEqual([]);
});
