import type { ByteWriter } from "../host/byte-writer.ts";
import { paintScreen, screenText, type TextCells } from "../host/text-screen.ts";

const ALTERNATE_SCREEN = "\x1b[?1049h\x1b[2J";
const NORMAL_SCREEN = "\x1b[?25h\x1b[?1049l";

/** `--display text`: on a terminal the screen as it changes; in a pipe, and when all is over, as plain text once. */
export class Display {
	private readonly out: ByteWriter;
	private readonly terminal: boolean;
	private last: TextCells | undefined;
	private open = false;
	private closed = false;

	constructor(out: ByteWriter, terminal: boolean) {
		this.out = out;
		this.terminal = terminal;
	}

	show(screen: TextCells): void {
		this.last = { ...screen, cells: screen.cells.slice() };
		if (!this.terminal || this.closed) return;
		if (!this.open) this.out.writeText(ALTERNATE_SCREEN);
		this.open = true;
		this.out.writeText(paintScreen(screen));
	}

	/** Leaves the terminal as it was, with the last screen in its history. May be called repeatedly. */
	close(): void {
		if (this.closed) return;
		this.closed = true;
		if (this.open) this.out.writeText(NORMAL_SCREEN);
		if (this.last !== undefined) this.out.writeText(`${screenText(this.last)}\n`);
		this.out.flush();
	}
}
