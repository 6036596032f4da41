/** Commands (IBM PS/2 technical reference, mouse). */
const SCALING_1_TO_1 = 0xe6;
const SCALING_2_TO_1 = 0xe7;
const SET_RESOLUTION = 0xe8;
const STATUS_REQUEST = 0xe9;
const STREAM_MODE = 0xea;
const READ_DATA = 0xeb;
const WRAP_OFF = 0xec;
const WRAP_ON = 0xee;
const REMOTE_MODE = 0xf0;
const READ_ID = 0xf2;
const SAMPLE_RATE = 0xf3;
const ENABLE = 0xf4;
const DISABLE = 0xf5;
const DEFAULTS = 0xf6;
const RESEND = 0xfe;
const RESET = 0xff;

const ACK = 0xfa;
const ERROR = 0xfe;
const SELF_TEST_PASSED = 0xaa;

/** Mouse types as their identification: plain, with wheel, with wheel and five buttons. */
const PLAIN = 0;
const WHEEL = 3;
const FIVE_BUTTONS = 4;
/** Sample rates set one after the other that switch to another type (Microsoft's IntelliMouse knock). */
const KNOCKS: readonly (readonly [string, number])[] = [
	["200,100,80", WHEEL],
	["200,200,80", FIVE_BUTTONS],
];

const BUFFER_BYTES = 16;
const BUTTON_BITS = 7;
const PACKET_FIXED = 1 << 3;
/** A packet carries nine-bit movements; what is beyond waits for the next. */
const MOST = 255;
/** Movement kept while nobody fetches it. */
const KEPT = 4096;

export interface MouseState {
	id: number;
	/** The last three sample rates set. */
	rates: number[];
	sampleRate: number;
	resolution: number;
	doubled: boolean;
	enabled: boolean;
	remote: boolean;
	wrap: boolean;
	/** The command whose argument comes next, or 0. */
	command: number;
	/** Bit 0 left, 1 right, 2 middle, 3 and 4 the side buttons. */
	buttons: number;
	/** Movement not reported yet; up and right are positive. */
	dx: number;
	dy: number;
	dz: number;
	/** Something changed since the last report. */
	moved: boolean;
	replies: number[];
	packet: number[];
	lastSent: number;
}

function powerOn(): MouseState {
	return {
		id: PLAIN,
		rates: [],
		sampleRate: 100,
		resolution: 2,
		doubled: false,
		enabled: false,
		remote: false,
		wrap: false,
		command: 0,
		buttons: 0,
		dx: 0,
		dy: 0,
		dz: 0,
		moved: false,
		replies: [],
		packet: [],
		lastSent: 0,
	};
}

function clamp(value: number, most: number): number {
	return Math.max(-most - 1, Math.min(most, value));
}

/** A PS/2 mouse with wheel and five buttons on request: what is at the far end of the controller's auxiliary port. */
export class Ps2Mouse {
	private readonly ready: () => void;
	private state: MouseState = powerOn();

	/** @param ready called when there are bytes to fetch */
	constructor(ready: () => void) {
		this.ready = ready;
	}

	/**
	 * The mouse moves.
	 * @param motion counts, right and up positive; `dz` wheel notches, towards the user positive; `buttons` as in {@link MouseState}
	 */
	move(motion: { dx: number; dy: number; dz?: number; buttons: number }): void {
		const { state } = this;
		state.dx = clamp(state.dx + motion.dx, KEPT);
		state.dy = clamp(state.dy + motion.dy, KEPT);
		state.dz = clamp(state.dz + (motion.dz ?? 0), KEPT);
		state.buttons = motion.buttons & 0x1f;
		state.moved = true;
		this.report();
		if (this.pending) this.ready();
	}

	/** Whether bytes wait to be fetched. */
	get pending(): boolean {
		return this.state.replies.length > 0 || this.state.packet.length > 0;
	}

	/** Takes the next byte to send. */
	next(): number | undefined {
		const { state } = this;
		const byte = state.replies.shift() ?? state.packet.shift();
		if (byte !== undefined) state.lastSent = byte;
		this.report();
		return byte;
	}

	/** A byte from the host. */
	receive(byte: number): void {
		const { state } = this;
		if (state.wrap && byte !== WRAP_OFF && byte !== RESET) this.reply(byte);
		else if (state.command !== 0) this.argument(byte);
		else this.start(byte);
		this.report();
		this.ready();
	}

	reset(): void {
		this.state = powerOn();
	}

	save(): MouseState {
		const { state } = this;
		return { ...state, rates: [...state.rates], replies: [...state.replies], packet: [...state.packet] };
	}

	load(state: MouseState): void {
		this.state = { ...state, rates: [...state.rates], replies: [...state.replies], packet: [...state.packet] };
	}

	private start(byte: number): void {
		const { state } = this;
		switch (byte) {
			case RESET:
				this.reset();
				this.state.replies = [ACK, SELF_TEST_PASSED, PLAIN];
				return;
			case RESEND:
				this.reply(state.lastSent);
				return;
			case SCALING_1_TO_1:
			case SCALING_2_TO_1:
				state.doubled = byte === SCALING_2_TO_1;
				break;
			case SET_RESOLUTION:
			case SAMPLE_RATE:
				state.command = byte;
				break;
			case STATUS_REQUEST:
				this.reply(ACK, this.status(), state.resolution, state.sampleRate);
				return;
			case STREAM_MODE:
			case REMOTE_MODE:
				state.remote = byte === REMOTE_MODE;
				this.forget();
				break;
			case READ_DATA:
				this.reply(ACK, ...this.takePacket());
				return;
			case WRAP_ON:
			case WRAP_OFF:
				state.wrap = byte === WRAP_ON;
				break;
			case READ_ID:
				this.reply(ACK, state.id);
				return;
			case ENABLE:
			case DISABLE:
				state.enabled = byte === ENABLE;
				this.forget();
				break;
			case DEFAULTS:
				this.state = { ...powerOn(), id: state.id, buttons: state.buttons, lastSent: state.lastSent };
				break;
			default:
				this.reply(ERROR);
				return;
		}
		this.reply(ACK);
	}

	private argument(byte: number): void {
		const { state } = this;
		if (state.command === SET_RESOLUTION) state.resolution = byte & 3;
		else {
			state.sampleRate = byte;
			state.rates = [...state.rates.slice(-2), byte];
			const knock = state.rates.join();
			state.id = KNOCKS.find(([rates]) => rates === knock)?.[1] ?? state.id;
		}
		state.command = 0;
		this.reply(ACK);
	}

	/** Answers nobody fetches are not kept without end. */
	private reply(...bytes: readonly number[]): void {
		if (this.state.replies.length < BUFFER_BYTES) this.state.replies.push(...bytes);
	}

	private status(): number {
		const { remote, enabled, doubled, buttons } = this.state;
		const pressed = ((buttons & 1) << 2) | ((buttons & 4) >> 1) | ((buttons & 2) >> 1);
		return (remote ? 0x40 : 0) | (enabled ? 0x20 : 0) | (doubled ? 0x10 : 0) | pressed;
	}

	/** Movement made so far will not be reported. */
	private forget(): void {
		Object.assign(this.state, { dx: 0, dy: 0, dz: 0, moved: false, packet: [] });
	}

	/** In stream mode movement becomes a packet as soon as the last one is gone. */
	private report(): void {
		const { state } = this;
		if (state.moved && state.enabled && !state.remote && !this.pending) state.packet = this.takePacket();
	}

	private takePacket(): number[] {
		const { state } = this;
		const dx = clamp(state.dx, MOST);
		const dy = clamp(state.dy, MOST);
		const dz = clamp(state.dz, 7);
		state.dx -= dx;
		state.dy -= dy;
		state.dz -= state.id === PLAIN ? state.dz : dz;
		state.moved = state.dx !== 0 || state.dy !== 0 || state.dz !== 0;
		const signs = (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0);
		const packet = [signs | PACKET_FIXED | (state.buttons & BUTTON_BITS), dx & 0xff, dy & 0xff];
		if (state.id === WHEEL) packet.push(dz & 0xff);
		if (state.id === FIVE_BUTTONS) packet.push((dz & 0x0f) | ((state.buttons & 0x18) << 1));
		return packet;
	}
}
