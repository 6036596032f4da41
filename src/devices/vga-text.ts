import type { AccessSize, Clock, Device } from "../bus/device.ts";
import type { TextCells } from "../bus/text-cells.ts";

/** The first port; offsets count from here. */
export const VGA_PORTS = 0x3b0;
/** The last port, inclusive. */
export const VGA_LAST_PORT = 0x3df;
/** Where the text buffer is in memory, and its bytes. */
export const VGA_TEXT_ADDRESS = 0xb8000;
export const VGA_TEXT_BYTES = 0x8000;

/** Offsets. The CRT controller and status are at 3Bx or 3Dx as the miscellaneous output register says. */
const CRTC_MONO = 0x04;
const STATUS_MONO = 0x0a;
const ATTRIBUTE = 0x10;
const ATTRIBUTE_READ = 0x11;
const MISC_WRITE = 0x12;
const ENABLE = 0x13;
const SEQUENCER = 0x14;
const DAC_MASK = 0x16;
const DAC_READ_INDEX = 0x17;
const DAC_WRITE_INDEX = 0x18;
const DAC_DATA = 0x19;
const FEATURE_READ = 0x1a;
const MISC_READ = 0x1c;
const GRAPHICS = 0x1e;
const CRTC_COLOUR = 0x24;
const STATUS_COLOUR = 0x2a;

const MISC_COLOUR = 1 << 0;
const ATTRIBUTE_INDEX = 0x1f;
const CRTC_PROTECT_REGISTER = 0x11;
const CRTC_PROTECT = 1 << 7;
const CRTC_OVERFLOW = 0x07;
const CRTC_LINE_COMPARE_8 = 1 << 4;
const CURSOR_OFF = 1 << 5;
const GRAPHICS_MODE = 1 << 0;

const STATUS_NO_DISPLAY = 1 << 0;
const STATUS_RETRACE = 1 << 3;
/** 720x400 at 70 Hz: 449 lines of 31.778 microseconds, of which 400 show, four fifths of the time of each. */
const LINE_NS = 31_778;
const LINES = 449;
const SHOWN_LINES = 400;
const RETRACE_FIRST = 412;
const RETRACE_LAST = 413;
const SHOWN_NS = 25_422;

const MOST_COLUMNS = 132;
const MOST_ROWS = 60;

/** The registers of mode 3, 80x25 in colour, which is on from reset so that firmware without a video BIOS can be read. */
const MODE_3 = {
	misc: 0x67,
	sequencer: [0x03, 0x00, 0x03, 0x00, 0x02],
	graphics: [0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff],
	crtc: [
		0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f,
		0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
	],
	attribute: [
		0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0x00, 0x0f,
		0x08, 0x00,
	],
} as const;

export interface VgaTextState {
	misc: number;
	feature: number;
	enable: number;
	sequencerIndex: number;
	sequencer: number[];
	graphicsIndex: number;
	graphics: number[];
	crtcIndex: number;
	crtc: number[];
	attributeIndex: number;
	/** The next write to the attribute port is data. */
	attributeData: boolean;
	attribute: number[];
	dacMask: number;
	/** Palette position times 3 plus colour. */
	dacRead: number;
	dacWrite: number;
	/** The index written last was for reading. */
	dacReading: boolean;
	dac: number[];
}

function powerOn(): VgaTextState {
	return {
		misc: MODE_3.misc,
		feature: 0,
		enable: 1,
		sequencerIndex: 0,
		sequencer: [...MODE_3.sequencer],
		graphicsIndex: 0,
		graphics: [...MODE_3.graphics],
		crtcIndex: 0,
		crtc: [...MODE_3.crtc],
		attributeIndex: 0x20,
		attributeData: false,
		attribute: [...MODE_3.attribute],
		dacMask: 0xff,
		dacRead: 0,
		dacWrite: 0,
		dacReading: false,
		dac: new Array<number>(768).fill(0),
	};
}

/**
 * As much of a VGA as text needs: the registers of IBM's VGA as storage with their read and write rules, retrace in guest time,
 * and the text buffer read as a screen. Ports 0x3B0..0x3DF. Nothing draws: graphics modes show no text.
 */
export class VgaText implements Device<VgaTextState> {
	readonly name = "vga-text";
	readonly sizes: readonly AccessSize[] = [1];
	private readonly clock: Clock;
	private readonly memory: () => Uint8Array;
	private state: VgaTextState = powerOn();

	/** @param parts `memory` gives the 32 KiB at {@link VGA_TEXT_ADDRESS}; asked anew for each screen */
	constructor(parts: { clock: Clock; memory: () => Uint8Array }) {
		this.clock = parts.clock;
		this.memory = parts.memory;
	}

	/** The screen as it is now; no rows in graphics modes. */
	screen(): TextCells {
		const { columns, rows, start, stride } = this.geometry();
		const memory = this.memory();
		const cells = new Uint8Array(2 * columns * rows);
		for (let row = 0; row < rows; row++) {
			for (let i = 0; i < 2 * columns; i++) {
				cells[2 * columns * row + i] = memory[(2 * (start + row * stride) + i) % VGA_TEXT_BYTES] ?? 0;
			}
		}
		return { columns, rows, cells, cursor: this.cursor() };
	}

	read(offset: number): number {
		const { state } = this;
		const crtc = this.colour ? CRTC_COLOUR : CRTC_MONO;
		switch (offset) {
			case crtc:
				return state.crtcIndex;
			case crtc + 1:
				return state.crtc[state.crtcIndex] ?? 0;
			case this.colour ? STATUS_COLOUR : STATUS_MONO:
				state.attributeData = false;
				return this.status();
			case ATTRIBUTE:
				return state.attributeIndex;
			case ATTRIBUTE_READ:
				return state.attribute[state.attributeIndex & ATTRIBUTE_INDEX] ?? 0;
			case MISC_WRITE:
				// Input status 0: no interrupt, no monitor sensed.
				return 0;
			case ENABLE:
				return state.enable;
			case SEQUENCER:
				return state.sequencerIndex;
			case SEQUENCER + 1:
				return state.sequencer[state.sequencerIndex] ?? 0;
			case DAC_MASK:
				return state.dacMask;
			case DAC_READ_INDEX:
				return state.dacReading ? 3 : 0;
			case DAC_WRITE_INDEX:
				return Math.floor(state.dacWrite / 3);
			case DAC_DATA: {
				const value = state.dac[state.dacRead] ?? 0;
				state.dacRead = (state.dacRead + 1) % 768;
				return value;
			}
			case FEATURE_READ:
				return state.feature;
			case MISC_READ:
				return state.misc;
			case GRAPHICS:
				return state.graphicsIndex;
			case GRAPHICS + 1:
				return state.graphics[state.graphicsIndex] ?? 0;
			default:
				return 0xff;
		}
	}

	write(offset: number, _size: AccessSize, value: number): void {
		const { state } = this;
		const byte = value & 0xff;
		const crtc = this.colour ? CRTC_COLOUR : CRTC_MONO;
		switch (offset) {
			case crtc:
				state.crtcIndex = byte & 0x3f;
				break;
			case crtc + 1:
				this.writeCrtc(byte);
				break;
			case this.colour ? STATUS_COLOUR : STATUS_MONO:
				state.feature = byte;
				break;
			case ATTRIBUTE:
				if (state.attributeData) store(state.attribute, state.attributeIndex & ATTRIBUTE_INDEX, byte);
				else state.attributeIndex = byte & 0x3f;
				state.attributeData = !state.attributeData;
				break;
			case MISC_WRITE:
				state.misc = byte;
				break;
			case ENABLE:
				state.enable = byte & 1;
				break;
			case SEQUENCER:
				state.sequencerIndex = byte & 0x07;
				break;
			case SEQUENCER + 1:
				store(state.sequencer, state.sequencerIndex, byte);
				break;
			case DAC_MASK:
				state.dacMask = byte;
				break;
			case DAC_READ_INDEX:
				state.dacRead = byte * 3;
				state.dacReading = true;
				break;
			case DAC_WRITE_INDEX:
				state.dacWrite = byte * 3;
				state.dacReading = false;
				break;
			case DAC_DATA:
				store(state.dac, state.dacWrite, byte & 0x3f);
				state.dacWrite = (state.dacWrite + 1) % 768;
				break;
			case GRAPHICS:
				state.graphicsIndex = byte & 0x0f;
				break;
			case GRAPHICS + 1:
				store(state.graphics, state.graphicsIndex, byte);
				break;
			default:
				break;
		}
	}

	reset(): void {
		this.state = powerOn();
	}

	save(): VgaTextState {
		return structuredClone(this.state);
	}

	load(state: VgaTextState): void {
		this.state = structuredClone(state);
	}

	private get colour(): boolean {
		return (this.state.misc & MISC_COLOUR) !== 0;
	}

	private crtc(register: number): number {
		return this.state.crtc[register] ?? 0;
	}

	private writeCrtc(value: number): void {
		const { crtc, crtcIndex } = this.state;
		const locked = (this.crtc(CRTC_PROTECT_REGISTER) & CRTC_PROTECT) !== 0 && crtcIndex <= CRTC_OVERFLOW;
		if (!locked) store(crtc, crtcIndex, value);
		else if (crtcIndex === CRTC_OVERFLOW) {
			// Of the protected registers' bits, this one stays open.
			crtc[CRTC_OVERFLOW] = (this.crtc(CRTC_OVERFLOW) & ~CRTC_LINE_COMPARE_8) | (value & CRTC_LINE_COMPARE_8);
		}
	}

	private status(): number {
		const within = this.clock.now() % (LINES * LINE_NS);
		const line = Math.floor(within / LINE_NS);
		const shown = line < SHOWN_LINES && within - line * LINE_NS < SHOWN_NS;
		const retrace = line >= RETRACE_FIRST && line <= RETRACE_LAST;
		return (shown ? 0 : STATUS_NO_DISPLAY) | (retrace ? STATUS_RETRACE : 0);
	}

	/** The cell that the cursor is on; undefined where it is hidden or not on the screen. */
	private cursor(): number | undefined {
		const { columns, rows, start, stride } = this.geometry();
		const at = ((this.crtc(0x0e) << 8) | this.crtc(0x0f)) - start;
		const row = Math.floor(at / stride);
		const column = at - row * stride;
		const shape = this.crtc(0x0a);
		const visible = (shape & CURSOR_OFF) === 0 && (shape & 0x1f) <= (this.crtc(0x0b) & 0x1f);
		return visible && row >= 0 && row < rows && column < columns ? row * columns + column : undefined;
	}

	/** Columns and rows of characters; the first character shown, and characters from row to row. */
	private geometry(): { columns: number; rows: number; start: number; stride: number } {
		if ((this.state.graphics[6] ?? 0) & GRAPHICS_MODE) return { columns: 0, rows: 0, start: 0, stride: 1 };
		const overflow = this.crtc(CRTC_OVERFLOW);
		const lines = (this.crtc(0x12) | ((overflow & 0x02) << 7) | ((overflow & 0x40) << 3)) + 1;
		return {
			columns: Math.min(MOST_COLUMNS, this.crtc(0x01) + 1),
			rows: Math.min(MOST_ROWS, Math.floor(lines / ((this.crtc(0x09) & 0x1f) + 1))),
			start: (this.crtc(0x0c) << 8) | this.crtc(0x0d),
			stride: this.crtc(0x13) * 2 || 1,
		};
	}
}

/** Registers that do not exist keep nothing. */
function store(registers: number[], index: number, value: number): void {
	if (index < registers.length) registers[index] = value;
}
