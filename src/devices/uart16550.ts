import type { AccessSize, Alarm, ByteSink, Clock, Device, IrqLine } from "../bus/device.ts";

/** Offsets of the registers (PC16550D table II). */
const DATA = 0;
const IER = 1;
const IIR_FCR = 2;
const LCR = 3;
const MCR = 4;
const LSR = 5;
const MSR = 6;
const SCR = 7;

const IER_RX = 1 << 0;
const IER_TX_EMPTY = 1 << 1;
const IER_LINE = 1 << 2;
const IER_MODEM = 1 << 3;

/** Interrupt identification by priority (PC16550D table IV). */
const IIR_NONE = 0x01;
const IIR_LINE = 0x06;
const IIR_RX = 0x04;
const IIR_TIMEOUT = 0x0c;
const IIR_TX_EMPTY = 0x02;
const IIR_MODEM = 0x00;
const IIR_FIFOS_ON = 0xc0;

const FCR_ENABLE = 1 << 0;
const FCR_CLEAR_RX = 1 << 1;
const FCR_CLEAR_TX = 1 << 2;
const TRIGGER_LEVELS = [1, 4, 8, 14] as const;
const FIFO_BYTES = 16;

const LCR_STOP_BITS = 1 << 2;
const LCR_PARITY = 1 << 3;
const LCR_BREAK = 1 << 6;
const LCR_DLAB = 1 << 7;

const MCR_DTR = 1 << 0;
const MCR_RTS = 1 << 1;
const MCR_OUT1 = 1 << 2;
const MCR_OUT2 = 1 << 3;
const MCR_LOOP = 1 << 4;

const LSR_READY = 1 << 0;
const LSR_OVERRUN = 1 << 1;
const LSR_PARITY = 1 << 2;
const LSR_FRAMING = 1 << 3;
const LSR_BREAK = 1 << 4;
/** Holding register and shift register empty: always, as the sink takes each byte at once. */
const LSR_SENT = 0x60;
const LSR_FIFO_ERROR = 1 << 7;
const LSR_CHARACTER_ERRORS = LSR_PARITY | LSR_FRAMING | LSR_BREAK;

const MSR_RING_ENDED = 1 << 2;
const MSR_CTS = 1 << 4;
const MSR_DSR = 1 << 5;
const MSR_RI = 1 << 6;
const MSR_DCD = 1 << 7;

/** 1.8432 MHz crystal, 16 clocks per bit: one bit at divisor 1, in nanoseconds. */
const BIT_NS = 16e9 / 1_843_200;
/** The character timeout (PC16550D 8.4.1 B) in character times. */
const TIMEOUT_CHARACTERS = 4;
/** 9600 baud, what QEMU's starts with; the datasheet leaves it undefined. */
const RESET_DIVISOR = 12;

/** Modem inputs as a connected peer drives them: CTS, DSR and DCD on, RI off. */
const CONNECTED = MSR_CTS | MSR_DSR | MSR_DCD;

export interface UartState {
	ier: number;
	lcr: number;
	mcr: number;
	scr: number;
	divisor: number;
	fifosOn: boolean;
	/** Bytes in the receive FIFO that raise the interrupt. */
	trigger: number;
	/** Received characters, oldest first; error bits as in LSR, shifted left by 8. */
	received: number[];
	/** The character read last: without FIFO the buffer register keeps it. */
	lastRead: number;
	/** LSR bits that stay until LSR is read. */
	errors: number;
	/** Modem status deltas, bits 3:0 of MSR. */
	deltas: number;
	/** The levels on the modem input pins, bits 7:4 of MSR. */
	pins: number;
	/** The transmitter ran empty and nobody has been told. */
	txEmptyPending: boolean;
	timeoutPending: boolean;
	/** Guest time at which the character timeout strikes. */
	timeoutAt: number | null;
}

function powerOn(pins: number): UartState {
	return {
		ier: 0,
		lcr: 0,
		mcr: 0,
		scr: 0,
		divisor: RESET_DIVISOR,
		fifosOn: false,
		trigger: 1,
		received: [],
		lastRead: 0,
		errors: 0,
		deltas: 0,
		pins,
		txEmptyPending: false,
		timeoutPending: false,
		timeoutAt: null,
	};
}

/**
 * A 16550A serial port after National's PC16550D. Transmission takes no time: a byte written is in the sink at once and the
 * transmitter is empty again, with a fresh interrupt where enabled. Reception keeps the FIFO's rules, the character timeout in guest
 * time. As in QEMU, the interrupt line does not pass through OUT2, and characters are eight bits whatever LCR says.
 */
export class Uart16550 implements Device<UartState> {
	readonly name = "uart16550";
	readonly sizes: readonly AccessSize[] = [1];
	private readonly irq: IrqLine;
	private readonly sink: ByteSink;
	private readonly clock: Clock;
	private readonly timeout: Alarm;
	private readonly roomMade: (() => void) | undefined;
	private state: UartState = powerOn(CONNECTED);

	/**
	 * @param parts `roomMade` is called when the guest has read a character, so that {@link receive} may accept more, and while there
	 *   is none when it looks for one or wants to be interrupted by one
	 */
	constructor(parts: { irq: IrqLine; sink: ByteSink; clock: Clock; roomMade?: () => void }) {
		this.irq = parts.irq;
		this.sink = parts.sink;
		this.clock = parts.clock;
		this.roomMade = parts.roomMade;
		this.timeout = parts.clock.alarm(() => this.timeoutStrikes());
	}

	/**
	 * Characters that {@link receive} would take now. Never more than brings the FIFO to its trigger level, so that the
	 * guest's choice of interrupt rate holds; above it one at a time.
	 */
	get room(): number {
		const { received, fifosOn, trigger, mcr } = this.state;
		if (mcr & MCR_LOOP) return 0;
		if (!fifosOn) return received.length === 0 ? 1 : 0;
		if (received.length >= FIFO_BYTES) return 0;
		return received.length < trigger ? trigger - received.length : 1;
	}

	/** Characters arriving on the line; returns how many were accepted, the first ones. */
	receive(bytes: ArrayLike<number>): number {
		let accepted = 0;
		while (accepted < bytes.length && this.room > 0) this.shiftIn((bytes[accepted++] ?? 0) & 0xff, 0);
		this.updateIrq();
		return accepted;
	}

	/**
	 * A character received with errors.
	 * @param errors LSR bits: 4 parity, 8 framing, 16 break
	 * @returns false when there was no room
	 */
	receiveDamaged(byte: number, errors: number): boolean {
		if (this.room === 0) return false;
		this.shiftIn(byte & 0xff, errors & LSR_CHARACTER_ERRORS);
		this.updateIrq();
		return true;
	}

	/** A break condition on the line: one zero character with the break bit (PC16550D 8.6.4). */
	receiveBreak(): boolean {
		return this.receiveDamaged(0, LSR_BREAK);
	}

	/** The peer's modem lines. Those not named keep their level. */
	setModemInputs(lines: { cts?: boolean; dsr?: boolean; ri?: boolean; dcd?: boolean }): void {
		const levels = [
			[lines.cts, MSR_CTS],
			[lines.dsr, MSR_DSR],
			[lines.ri, MSR_RI],
			[lines.dcd, MSR_DCD],
		] as const;
		const before = this.modemLevels();
		for (const [level, bit] of levels) {
			if (level !== undefined) this.state.pins = level ? this.state.pins | bit : this.state.pins & ~bit;
		}
		this.modemChanged(before);
		this.updateIrq();
	}

	/** What the guest drives. */
	get modemOutputs(): { dtr: boolean; rts: boolean; out1: boolean; out2: boolean; break: boolean } {
		const { mcr, lcr } = this.state;
		const driven = mcr & MCR_LOOP ? 0 : mcr;
		return {
			dtr: (driven & MCR_DTR) !== 0,
			rts: (driven & MCR_RTS) !== 0,
			out1: (driven & MCR_OUT1) !== 0,
			out2: (driven & MCR_OUT2) !== 0,
			break: (lcr & LCR_BREAK) !== 0 && (mcr & MCR_LOOP) === 0,
		};
	}

	read(offset: number): number {
		const { state } = this;
		switch (offset) {
			case DATA:
				return state.lcr & LCR_DLAB ? state.divisor & 0xff : this.readCharacter();
			case IER:
				return state.lcr & LCR_DLAB ? state.divisor >> 8 : state.ier;
			case IIR_FCR: {
				const cause = this.cause();
				if (cause === IIR_TX_EMPTY) {
					state.txEmptyPending = false;
					this.updateIrq();
				}
				return cause | (state.fifosOn ? IIR_FIFOS_ON : 0);
			}
			case LCR:
				return state.lcr;
			case MCR:
				return state.mcr;
			case LSR:
				return this.readLineStatus();
			case MSR: {
				const value = this.modemLevels() | state.deltas;
				state.deltas = 0;
				this.updateIrq();
				return value;
			}
			case SCR:
				return state.scr;
			default:
				return 0xff;
		}
	}

	write(offset: number, _size: AccessSize, value: number): void {
		const { state } = this;
		const byte = value & 0xff;
		switch (offset) {
			case DATA:
				if (state.lcr & LCR_DLAB) state.divisor = (state.divisor & 0xff00) | byte;
				else this.transmit(byte);
				break;
			case IER:
				if (state.lcr & LCR_DLAB) state.divisor = (byte << 8) | (state.divisor & 0xff);
				else {
					this.writeIer(byte & 0x0f);
					if (byte & IER_RX) this.roomMade?.();
				}
				break;
			case IIR_FCR:
				this.writeFcr(byte);
				break;
			case LCR:
				state.lcr = byte;
				break;
			case MCR: {
				const before = this.modemLevels();
				state.mcr = byte & 0x1f;
				this.modemChanged(before);
				break;
			}
			case SCR:
				state.scr = byte;
				break;
			default:
				// LSR and MSR: only factory tests write them.
				break;
		}
		this.updateIrq();
	}

	reset(): void {
		this.load(powerOn(this.state.pins));
	}

	save(): UartState {
		return { ...this.state, received: [...this.state.received] };
	}

	load(state: UartState): void {
		this.state = { ...state, received: [...state.received] };
		if (state.timeoutAt === null) this.timeout.cancel();
		else this.timeout.at(state.timeoutAt);
		this.updateIrq();
	}

	private transmit(byte: number): void {
		// The holding register is full for a moment: a pending interrupt goes away and comes back as a new edge.
		this.state.txEmptyPending = false;
		this.updateIrq();
		if ((this.state.mcr & MCR_LOOP) === 0) this.sink.write(byte);
		else this.shiftIn(byte, 0);
		this.state.txEmptyPending = true;
	}

	/** A character has arrived in the receive shift register. */
	private shiftIn(byte: number, errors: number): void {
		const { state } = this;
		const character = byte | (errors << 8);
		if (!state.fifosOn) {
			if (state.received.length > 0) state.errors |= LSR_OVERRUN;
			state.errors |= errors;
			state.received = [character];
			return;
		}
		if (state.received.length >= FIFO_BYTES) {
			// The FIFO keeps what it has; the character in the shift register is lost.
			state.errors |= LSR_OVERRUN;
		} else {
			state.received.push(character);
			// An error shows in LSR when its character is at the top of the FIFO (PC16550D 8.6.4).
			if (state.received.length === 1) state.errors |= errors;
		}
		this.restartTimeout();
	}

	private readCharacter(): number {
		const { state } = this;
		const character = state.received.shift();
		if (character === undefined) return state.fifosOn ? 0 : state.lastRead;
		state.lastRead = character & 0xff;
		if (state.fifosOn) {
			state.errors |= ((state.received[0] ?? 0) >> 8) & LSR_CHARACTER_ERRORS;
			state.timeoutPending = false;
			this.restartTimeout();
		}
		this.updateIrq();
		this.roomMade?.();
		return state.lastRead;
	}

	private readLineStatus(): number {
		const { state } = this;
		if (state.received.length === 0) this.roomMade?.();
		let value = LSR_SENT | state.errors;
		if (state.received.length > 0) value |= LSR_READY;
		if (state.fifosOn && state.received.some((character) => character > 0xff)) value |= LSR_FIFO_ERROR;
		if (state.errors !== 0) {
			state.errors = 0;
			// The top character's errors have been seen; bit 7 stays while later ones have some.
			if (state.received[0] !== undefined) state.received[0] &= 0xff;
			this.updateIrq();
		}
		return value;
	}

	private writeIer(value: number): void {
		const { state } = this;
		const changed = value ^ state.ier;
		state.ier = value;
		// Enabling the interrupt while the transmitter is empty raises it, even if IIR was read before: Linux tests for
		// it, others rely on it.
		if (changed & IER_TX_EMPTY) state.txEmptyPending = (value & IER_TX_EMPTY) !== 0;
	}

	/** Without bit 0 the other bits are not programmed (PC16550D 8.5). */
	private writeFcr(value: number): void {
		const { state } = this;
		const on = (value & FCR_ENABLE) !== 0;
		if (on !== state.fifosOn || (on && value & FCR_CLEAR_RX)) {
			state.received = [];
			state.timeoutPending = false;
			this.restartTimeout();
		}
		// A cleared transmit FIFO is an empty one, which is news (as in QEMU).
		if (on !== state.fifosOn || (on && value & FCR_CLEAR_TX)) state.txEmptyPending = (state.ier & IER_TX_EMPTY) !== 0;
		state.fifosOn = on;
		state.trigger = on ? (TRIGGER_LEVELS[value >> 6] ?? 1) : 1;
	}

	private modemLevels(): number {
		const { mcr, pins } = this.state;
		if ((mcr & MCR_LOOP) === 0) return pins;
		return (
			(mcr & MCR_RTS ? MSR_CTS : 0) |
			(mcr & MCR_DTR ? MSR_DSR : 0) |
			(mcr & MCR_OUT1 ? MSR_RI : 0) |
			(mcr & MCR_OUT2 ? MSR_DCD : 0)
		);
	}

	private modemChanged(before: number): void {
		const now = this.modemLevels();
		const changed = before ^ now;
		this.state.deltas |= (changed & ~MSR_RI) >> 4;
		if (changed & before & MSR_RI) this.state.deltas |= MSR_RING_ENDED;
	}

	/** The enabled interrupt of highest priority, as IIR bits 3:0. */
	private cause(): number {
		const { ier, errors, received, fifosOn, trigger, timeoutPending, txEmptyPending, deltas } = this.state;
		if (ier & IER_LINE && errors !== 0) return IIR_LINE;
		if (ier & IER_RX) {
			if (received.length >= (fifosOn ? trigger : 1)) return IIR_RX;
			if (timeoutPending) return IIR_TIMEOUT;
		}
		if (ier & IER_TX_EMPTY && txEmptyPending) return IIR_TX_EMPTY;
		if (ier & IER_MODEM && deltas !== 0) return IIR_MODEM;
		return IIR_NONE;
	}

	/** Nothing moved in or out of a non-empty FIFO for four characters' time: the guest shall fetch what is there. */
	private restartTimeout(): void {
		const { state } = this;
		if (state.received.length === 0 || !state.fifosOn) {
			state.timeoutAt = null;
			this.timeout.cancel();
			return;
		}
		state.timeoutAt = this.clock.now() + Math.ceil(TIMEOUT_CHARACTERS * this.characterTime());
		this.timeout.at(state.timeoutAt);
	}

	private timeoutStrikes(): void {
		this.state.timeoutAt = null;
		this.state.timeoutPending = true;
		this.updateIrq();
	}

	/** Start, data, parity and stop bits, in nanoseconds. */
	private characterTime(): number {
		const { lcr, divisor } = this.state;
		const bits = 1 + 5 + (lcr & 3) + (lcr & LCR_PARITY ? 1 : 0) + (lcr & LCR_STOP_BITS ? 2 : 1);
		return bits * Math.max(1, divisor) * BIT_NS;
	}

	private updateIrq(): void {
		this.irq.set(this.cause() !== IIR_NONE);
	}
}
