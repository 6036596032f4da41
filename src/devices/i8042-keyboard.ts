import type { Alarm, Clock } from "../bus/device.ts";
import { KEY_PAUSE, keyBytes, set3Code } from "./i8042-scancodes.ts";

/** Commands (IBM PS/2 technical reference, keyboard). */
const SET_LEDS = 0xed;
const ECHO = 0xee;
const SCAN_SET = 0xf0;
const READ_ID = 0xf2;
const TYPEMATIC = 0xf3;
const ENABLE = 0xf4;
const DISABLE = 0xf5;
const DEFAULTS = 0xf6;
const ALL_KEYS_FIRST = 0xf7;
const ONE_KEY_FIRST = 0xfb;
const ONE_KEY_LAST = 0xfd;
const RESEND = 0xfe;
const RESET = 0xff;
/** Bytes from here on are commands, also where a command's argument is expected. */
const FIRST_COMMAND = SET_LEDS;

const ACK = 0xfa;
const SELF_TEST_PASSED = 0xaa;
const ID = [0xab, 0x83] as const;

const BUFFER_BYTES = 16;
/** 10.9 characters per second after 500 ms. */
const DEFAULT_TYPEMATIC = 0x2b;
const MS = 1_000_000;

/** How a key behaves in scan set 3. */
const REPEATS = 1;
const RELEASES = 2;
/** What 0xF7..0xFA and 0xFB..0xFD set. */
const KEY_TYPES = [REPEATS, RELEASES, 0, REPEATS | RELEASES] as const;
/** Keys whose type is not REPEATS after reset: Ctrl, Shift, Caps Lock, Alt. */
const DEFAULT_KEY_TYPES: readonly [string, number][] = [0x11, 0x12, 0x14, 0x19, 0x59].map((code) => [
	String(code),
	RELEASES,
]);

export interface KeyboardState {
	scanSet: number;
	scanning: boolean;
	/** Bit 0 Scroll Lock, 1 Num Lock, 2 Caps Lock. */
	leds: number;
	typematic: number;
	/** The command whose argument comes next, or 0. */
	command: number;
	/** Answers to commands go before key codes. */
	replies: number[];
	codes: number[];
	lastSent: number;
	/** Set 3: type of all keys, and of those that differ. */
	keyType: number;
	keyTypes: Record<string, number>;
	/** The key held down last, 0 for none, and when it repeats. */
	held: number;
	repeatAt: number | null;
}

function powerOn(): KeyboardState {
	return {
		scanSet: 2,
		scanning: true,
		leds: 0,
		typematic: DEFAULT_TYPEMATIC,
		command: 0,
		replies: [],
		codes: [],
		lastSent: 0,
		keyType: REPEATS,
		keyTypes: Object.fromEntries(DEFAULT_KEY_TYPES),
		held: 0,
		repeatAt: null,
	};
}

/** A PS/2 keyboard with scan sets 1, 2 and 3: what is at the far end of the keyboard controller's cable. */
export class Ps2Keyboard {
	private readonly clock: Clock;
	private readonly repeat: Alarm;
	private readonly ready: () => void;
	private state: KeyboardState = powerOn();

	/** @param ready called when there are bytes to fetch */
	constructor(clock: Clock, ready: () => void) {
		this.clock = clock;
		this.ready = ready;
		this.repeat = clock.alarm(() => this.repeatDue());
	}

	/** Bit 0 Scroll Lock, 1 Num Lock, 2 Caps Lock. */
	get leds(): number {
		return this.state.leds;
	}

	/** Whether bytes wait to be fetched. */
	get pending(): boolean {
		return this.state.replies.length > 0 || this.state.codes.length > 0;
	}

	/** A key moves. @param key as for {@link keyBytes} */
	key(key: number, pressed: boolean): void {
		const { state } = this;
		if (!pressed && state.held === key) this.hold(0, 0);
		if (!state.scanning) return;
		const type = this.typeOf(key);
		if (pressed || type & RELEASES) this.enqueue(keyBytes(key, pressed, state.scanSet));
		if (pressed && type & REPEATS && key !== KEY_PAUSE) this.hold(key, this.delayNs);
	}

	/** Takes the next byte to send. */
	next(): number | undefined {
		const byte = this.state.replies.shift() ?? this.state.codes.shift();
		if (byte !== undefined) this.state.lastSent = byte;
		return byte;
	}

	/** A byte from the host. */
	receive(byte: number): void {
		const { state } = this;
		if (state.command !== 0 && byte < FIRST_COMMAND) this.argument(byte);
		else this.start(byte);
		this.ready();
	}

	reset(): void {
		this.load(powerOn());
	}

	save(): KeyboardState {
		const { state } = this;
		return { ...state, replies: [...state.replies], codes: [...state.codes], keyTypes: { ...state.keyTypes } };
	}

	load(state: KeyboardState): void {
		this.state = { ...state, replies: [...state.replies], codes: [...state.codes], keyTypes: { ...state.keyTypes } };
		if (state.repeatAt === null) this.repeat.cancel();
		else this.repeat.at(state.repeatAt);
	}

	private start(byte: number): void {
		const { state } = this;
		state.command = 0;
		if (byte === RESET) {
			this.reset();
			this.state.replies = [ACK, SELF_TEST_PASSED];
			return;
		}
		switch (byte) {
			case ECHO:
				this.reply(ECHO);
				return;
			case RESEND:
				this.reply(state.lastSent);
				return;
			case SET_LEDS:
			case SCAN_SET:
			case TYPEMATIC:
				state.command = byte;
				break;
			case READ_ID:
				this.reply(ACK, ...ID);
				return;
			case ENABLE:
				state.codes = [];
				state.scanning = true;
				break;
			case DISABLE:
			case DEFAULTS:
				this.defaults();
				this.state.scanning = byte === DEFAULTS;
				break;
			default:
				if (byte >= ALL_KEYS_FIRST && byte < ONE_KEY_FIRST) {
					state.keyType = KEY_TYPES[byte - ALL_KEYS_FIRST] ?? REPEATS;
					state.keyTypes = {};
				} else if (byte >= ONE_KEY_FIRST && byte <= ONE_KEY_LAST) state.command = byte;
				else {
					this.reply(RESEND);
					return;
				}
				break;
		}
		this.reply(ACK);
	}

	private argument(byte: number): void {
		const { state } = this;
		const { command } = state;
		// Key lists end with the next command, other commands with their argument.
		if (command < ONE_KEY_FIRST) state.command = 0;
		switch (command) {
			case SET_LEDS:
				state.leds = byte & 7;
				break;
			case TYPEMATIC:
				state.typematic = byte & 0x7f;
				break;
			case SCAN_SET:
				if (byte > 3) {
					this.reply(RESEND);
					return;
				}
				this.reply(ACK);
				if (byte === 0) this.reply(state.scanSet);
				else {
					state.scanSet = byte;
					state.codes = [];
				}
				return;
			default:
				state.keyTypes[byte] = KEY_TYPES[command - ONE_KEY_FIRST] ?? REPEATS;
				break;
		}
		this.reply(ACK);
	}

	/** Answers nobody fetches are not kept without end. */
	private reply(...bytes: readonly number[]): void {
		if (this.state.replies.length < BUFFER_BYTES) this.state.replies.push(...bytes);
	}

	/** As at power-on, but for the LEDs. */
	private defaults(): void {
		const { leds, replies, lastSent } = this.state;
		this.load({ ...powerOn(), leds, replies, lastSent });
	}

	private typeOf(key: number): number {
		if (this.state.scanSet !== 3) return REPEATS | RELEASES;
		return this.state.keyTypes[set3Code(key) ?? 0] ?? this.state.keyType;
	}

	private enqueue(bytes: readonly number[]): void {
		const { state } = this;
		if (state.codes.length + bytes.length <= BUFFER_BYTES) state.codes.push(...bytes);
		// The last place of the buffer says that keys were lost.
		else if (state.codes.length <= BUFFER_BYTES) state.codes.push(state.scanSet === 1 ? 0xff : 0x00);
		if (this.pending) this.ready();
	}

	private get delayNs(): number {
		return (((this.state.typematic >> 5) & 3) + 1) * 250 * MS;
	}

	private get periodNs(): number {
		const rate = this.state.typematic;
		return Math.round((8 + (rate & 7)) * 2 ** ((rate >> 3) & 3) * 4.17 * MS);
	}

	/** Repeats `key` after `delay` nanoseconds; key 0 stops repeating. */
	private hold(key: number, delay: number): void {
		this.state.held = key;
		this.state.repeatAt = key === 0 ? null : this.clock.now() + delay;
		if (this.state.repeatAt === null) this.repeat.cancel();
		else this.repeat.at(this.state.repeatAt);
	}

	private repeatDue(): void {
		const { state } = this;
		const bytes = keyBytes(state.held, true, state.scanSet);
		if (state.scanning && state.codes.length + bytes.length <= BUFFER_BYTES) this.enqueue(bytes);
		this.hold(state.held, this.periodNs);
	}
}
