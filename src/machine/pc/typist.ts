import type { Alarm, Clock } from "../../bus/device.ts";
import type { ByteSource } from "../../host/byte-source.ts";

/** A keyboard as who types sees it. */
export interface Keyboard {
	/** A key moves: set 1 make codes, 0xE0xx for extended ones. */
	key(code: number, pressed: boolean): void;
	/** The machine has not taken all keys yet. */
	readonly pending: boolean;
}

/** A key with what is held down meanwhile. */
export interface Stroke {
	readonly key: number;
	readonly shift?: boolean;
	readonly control?: boolean;
	readonly alt?: boolean;
}

const ESCAPE = 0x1b;
const ESCAPE_KEY = 0x01;
const BACKSPACE_KEY = 0x0e;
const TAB_KEY = 0x0f;
const ENTER_KEY = 0x1c;
const CONTROL_KEY = 0x1d;
const SHIFT_KEY = 0x2a;
const ALT_KEY = 0x38;
const SPACE_KEY = 0x39;

/** Guest time from one key to the next. */
const STROKE_NS = 20_000_000;
/** Bytes looked at together: what one key of a terminal sends comes in one piece. */
const PIECE = 16;

/** A US keyboard, row by row: the first key's code, its characters, those with Shift. */
const ROWS = [
	[0x02, "1234567890-=", "!@#$%^&*()_+"],
	[0x10, "qwertyuiop[]", "QWERTYUIOP{}"],
	[0x1e, "asdfghjkl;'`", 'ASDFGHJKL:"~'],
	[0x2b, "\\zxcvbnm,./", "|ZXCVBNM<>?"],
] as const;

const CHARACTERS = new Map<string, Stroke>([[" ", { key: SPACE_KEY }]]);
for (const [first, plain, shifted] of ROWS) {
	for (let n = 0; n < plain.length; n++) {
		CHARACTERS.set(plain[n]!, { key: first + n });
		CHARACTERS.set(shifted[n]!, { key: first + n, shift: true });
	}
}

/** What terminals send after Escape (ECMA-48 cursor keys, the VT220's and xterm's function keys). */
const SEQUENCES = new Map<string, number>([
	...(["A:e048", "B:e050", "C:e04d", "D:e04b", "H:e047", "F:e04f"].flatMap((pair) => {
		const [letter, code] = pair.split(":") as [string, string];
		return [`[${letter}`, `O${letter}`].map((text) => [text, Number.parseInt(code, 16)]);
	}) as [string, number][]),
	...([
		["[2~", 0xe052],
		["[3~", 0xe053],
		["[5~", 0xe049],
		["[6~", 0xe051],
		["OP", 0x3b],
		["OQ", 0x3c],
		["OR", 0x3d],
		["OS", 0x3e],
		["[15~", 0x3f],
		["[17~", 0x40],
		["[18~", 0x41],
		["[19~", 0x42],
		["[20~", 0x43],
		["[21~", 0x44],
		["[23~", 0x57],
		["[24~", 0x58],
	] as [string, number][]),
]);

/** The keys behind what a terminal sent. What no PC keyboard has is left out. */
export function strokes(bytes: Uint8Array): Stroke[] {
	const text = Buffer.from(bytes).toString("latin1");
	const found: Stroke[] = [];
	for (let at = 0; at < text.length; ) {
		const [stroke, length] = next(text, at);
		if (stroke) found.push(stroke);
		at += length;
	}
	return found;
}

function next(text: string, at: number): [stroke: Stroke | undefined, length: number] {
	const byte = text.charCodeAt(at);
	if (byte !== ESCAPE) return [single(byte), 1];
	for (let length = 2; length <= 4; length++) {
		const key = SEQUENCES.get(text.slice(at + 1, at + 1 + length));
		if (key !== undefined) return [{ key }, 1 + length];
	}
	const held = at + 1 < text.length ? single(text.charCodeAt(at + 1)) : undefined;
	return held === undefined ? [{ key: ESCAPE_KEY }, 1] : [{ ...held, alt: true }, 2];
}

function single(byte: number): Stroke | undefined {
	if (byte === 0x0d || byte === 0x0a) return { key: ENTER_KEY };
	if (byte === 0x09) return { key: TAB_KEY };
	if (byte === 0x08 || byte === 0x7f) return { key: BACKSPACE_KEY };
	if (byte === ESCAPE) return { key: ESCAPE_KEY };
	if (byte >= 0x20) return CHARACTERS.get(String.fromCharCode(byte));
	// Control with the character 0x40 above, written without Shift.
	const stroke = CHARACTERS.get(String.fromCharCode(byte + 0x40).toLowerCase());
	return stroke && { ...stroke, control: true };
}

/** Types on the machine's keyboard what comes in from a terminal, one key after the other in guest time. */
export class Typist {
	private readonly keyboard: Keyboard;
	private readonly source: ByteSource;
	private readonly clock: Clock;
	private readonly turn: Alarm;
	private waiting: Stroke[] = [];

	constructor(keyboard: Keyboard, source: ByteSource, clock: Clock) {
		this.keyboard = keyboard;
		this.source = source;
		this.clock = clock;
		this.turn = clock.alarm(() => this.type());
		source.onArrival(() => {
			if (this.turn.deadline === undefined) this.type();
		});
		// A file does not arrive; it is there.
		this.turn.at(STROKE_NS);
	}

	private type(): void {
		if (this.keyboard.pending) {
			this.turn.at(this.clock.now() + STROKE_NS);
			return;
		}
		if (this.waiting.length === 0) this.waiting = strokes(this.source.take(PIECE));
		const stroke = this.waiting.shift();
		if (stroke === undefined) return;
		const held = [
			...(stroke.control ? [CONTROL_KEY] : []),
			...(stroke.alt ? [ALT_KEY] : []),
			...(stroke.shift ? [SHIFT_KEY] : []),
			stroke.key,
		];
		for (const key of held) this.keyboard.key(key, true);
		for (const key of held.reverse()) this.keyboard.key(key, false);
		this.turn.at(this.clock.now() + STROKE_NS);
	}
}
