import { hostMs } from "../base/host-time.ts";
import type { VgaText } from "../devices/vga-text.ts";
import type { TextCells } from "../host/text-screen.ts";

/** Host milliseconds between two looks at the screen. */
const LOOK_MS = 40;

/** Shows a VGA text screen to the host whenever it has changed. */
export class Screen {
	private readonly vga: VgaText;
	private readonly show: (screen: TextCells) => void;
	private shown: TextCells | undefined;
	private looked = 0;

	constructor(vga: VgaText, show: (screen: TextCells) => void) {
		this.vga = vga;
		this.show = show;
	}

	/** Looks whether something has changed, not too often. */
	update(): void {
		const now = hostMs();
		if (now - this.looked < LOOK_MS) return;
		this.looked = now;
		this.look();
	}

	/** The last look, at the end of the run: the host is shown the screen in any case. */
	finish(): void {
		this.shown = undefined;
		this.look();
	}

	private look(): void {
		const screen = this.vga.screen();
		if (this.shown !== undefined && same(this.shown, screen)) return;
		this.shown = screen;
		this.show(screen);
	}
}

function same(a: TextCells, b: TextCells): boolean {
	const alike = a.columns === b.columns && a.rows === b.rows && a.cursor === b.cursor;
	return alike && Buffer.compare(a.cells, b.cells) === 0;
}
