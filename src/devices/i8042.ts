import type { AccessSize, Alarm, Clock, Device, IrqLine, PowerControl } from "../bus/device.ts";
import { type KeyboardState, Ps2Keyboard } from "./i8042-keyboard.ts";
import { type MouseState, Ps2Mouse } from "./i8042-mouse.ts";
import { translate } from "./i8042-scancodes.ts";

/** Offsets as at ports 0x60 and 0x64. */
const DATA = 0;
const COMMAND = 4;

const STATUS_OUTPUT_FULL = 1 << 0;
const STATUS_SYSTEM = 1 << 2;
const STATUS_COMMAND = 1 << 3;
/** The keyboard lock is open. */
const STATUS_UNLOCKED = 1 << 4;
const STATUS_AUX = 1 << 5;

/** Command byte, byte 0 of the controller's RAM. */
const KEYBOARD_IRQ = 1 << 0;
const MOUSE_IRQ = 1 << 1;
const SYSTEM_FLAG = 1 << 2;
const KEYBOARD_OFF = 1 << 4;
const MOUSE_OFF = 1 << 5;
const TRANSLATE = 1 << 6;

/** Output port. */
const OUT_NO_RESET = 1 << 0;
const OUT_A20 = 1 << 1;
const OUT_KEYBOARD_FULL = 1 << 4;
const OUT_MOUSE_FULL = 1 << 5;
/** Clock and data lines, and unused pins, idle high. */
const OUT_IDLE = 0xcc;

/** Controller commands; those that take a byte keep it in `command` until the byte comes. */
const READ_RAM = 0x20;
const WRITE_RAM = 0x60;
const PASSWORD_TEST = 0xa4;
const MOUSE_DISABLE = 0xa7;
const MOUSE_ENABLE = 0xa8;
const MOUSE_TEST = 0xa9;
const SELF_TEST = 0xaa;
const KEYBOARD_TEST = 0xab;
const KEYBOARD_DISABLE = 0xad;
const KEYBOARD_ENABLE = 0xae;
const READ_INPUT_PORT = 0xc0;
const READ_OUTPUT_PORT = 0xd0;
const WRITE_OUTPUT_PORT = 0xd1;
const WRITE_KEYBOARD_BUFFER = 0xd2;
const WRITE_MOUSE_BUFFER = 0xd3;
const WRITE_MOUSE = 0xd4;
const A20_OFF = 0xdd;
const A20_ON = 0xdf;
const READ_TEST_INPUTS = 0xe0;
const PULSE = 0xf0;

const RAM_BYTES = 32;
const SELF_TEST_PASSED = 0x55;
const NO_PASSWORD = 0xf1;
const INPUT_PORT = 0x80;
/** Release prefix of scan set 2, which translation folds into the code. */
const RELEASE = 0xf0;

/**
 * After the guest took a byte the next one from a device comes no sooner: programs read port 0x60 twice and expect the
 * same byte. A real keyboard takes about a millisecond.
 */
const BYTE_NS = 250_000;

interface BufferedByte {
	value: number;
	mouse: boolean;
}

export interface I8042State {
	/** The command whose byte comes next at the data port; 0: the byte is for the keyboard. */
	command: number;
	/** Byte 0 is the command byte. */
	ram: number[];
	outputPort: number;
	system: boolean;
	/** The last write went to the command port. */
	lastWasCommand: boolean;
	full: boolean;
	/** What is, or was last, in the output buffer. */
	output: BufferedByte;
	/** The controller's own answers, which go before the devices' bytes. */
	answers: BufferedByte[];
	/** Guest time before which no device byte comes. */
	readyAt: number;
	/** Translation has seen a release prefix. */
	release: boolean;
	keyboard: KeyboardState;
	mouse: MouseState;
}

type ControllerState = Omit<I8042State, "keyboard" | "mouse">;

function powerOn(): ControllerState {
	const ram = new Array<number>(RAM_BYTES).fill(0);
	ram[0] = KEYBOARD_IRQ | MOUSE_IRQ;
	return {
		command: 0,
		ram,
		outputPort: OUT_NO_RESET | OUT_A20 | OUT_IDLE,
		system: false,
		lastWasCommand: true,
		full: false,
		output: { value: 0, mouse: false },
		answers: [],
		readyAt: 0,
		release: false,
	};
}

/**
 * The keyboard controller with a PS/2 keyboard and mouse. Offsets 0 (port 0x60) and 4 (port 0x64).
 * `a20` is this controller's share of A20, high after reset; the board ORs it with port 0x92's.
 */
export class I8042 implements Device<I8042State> {
	readonly name = "i8042";
	readonly sizes: readonly AccessSize[] = [1];
	readonly keyboard: Ps2Keyboard;
	readonly mouse: Ps2Mouse;
	private readonly clock: Clock;
	private readonly keyboardIrq: IrqLine;
	private readonly mouseIrq: IrqLine;
	private readonly a20: IrqLine;
	private readonly power: Pick<PowerControl, "reset">;
	private readonly delivery: Alarm;
	private state: ControllerState = powerOn();

	constructor(parts: {
		clock: Clock;
		keyboardIrq: IrqLine;
		mouseIrq: IrqLine;
		a20: IrqLine;
		power: Pick<PowerControl, "reset">;
	}) {
		this.clock = parts.clock;
		this.keyboardIrq = parts.keyboardIrq;
		this.mouseIrq = parts.mouseIrq;
		this.a20 = parts.a20;
		this.power = parts.power;
		this.delivery = parts.clock.alarm(() => this.deliver());
		this.keyboard = new Ps2Keyboard(parts.clock, () => this.deliver());
		this.mouse = new Ps2Mouse(() => this.deliver());
		this.updateLines();
	}

	/**
	 * A key moves.
	 * @param code the key's set 1 make code: 0x01..0x7F, 0xE001..0xE07F for extended keys, 0xE11D for Pause
	 */
	key(code: number, pressed: boolean): void {
		this.keyboard.key(code, pressed);
	}

	read(offset: number): number {
		if (offset === DATA) return this.readData();
		if (offset === COMMAND) return this.status();
		return 0xff;
	}

	write(offset: number, _size: AccessSize, value: number): void {
		const byte = value & 0xff;
		if (offset === DATA) {
			this.state.lastWasCommand = false;
			this.writeData(byte);
		} else if (offset === COMMAND) {
			this.state.lastWasCommand = true;
			this.writeCommand(byte);
		} else return;
		this.deliver();
	}

	reset(): void {
		this.keyboard.reset();
		this.mouse.reset();
		this.state = powerOn();
		this.delivery.cancel();
		this.updateLines();
	}

	save(): I8042State {
		const { state } = this;
		return {
			...state,
			ram: [...state.ram],
			output: { ...state.output },
			answers: state.answers.map((answer) => ({ ...answer })),
			keyboard: this.keyboard.save(),
			mouse: this.mouse.save(),
		};
	}

	load(state: I8042State): void {
		const { keyboard, mouse, ...controller } = state;
		this.state = {
			...controller,
			ram: [...state.ram],
			output: { ...state.output },
			answers: state.answers.map((answer) => ({ ...answer })),
		};
		this.keyboard.load(keyboard);
		this.mouse.load(mouse);
		this.delivery.cancel();
		this.deliver();
	}

	private get commandByte(): number {
		return this.state.ram[0] ?? 0;
	}

	private set commandByte(value: number) {
		this.state.ram[0] = value;
	}

	private status(): number {
		const { full, output, system, lastWasCommand } = this.state;
		return (
			STATUS_UNLOCKED |
			(full ? STATUS_OUTPUT_FULL | (output.mouse ? STATUS_AUX : 0) : 0) |
			(system ? STATUS_SYSTEM : 0) |
			(lastWasCommand ? STATUS_COMMAND : 0)
		);
	}

	private readData(): number {
		const { state } = this;
		const { value } = state.output;
		if (state.full) {
			state.full = false;
			state.readyAt = this.clock.now() + BYTE_NS;
			// The line falls before an answer that follows at once raises it again.
			this.updateLines();
			this.deliver();
		}
		return value;
	}

	private writeData(byte: number): void {
		const { state } = this;
		const { command } = state;
		state.command = 0;
		if (command >= WRITE_RAM && command < WRITE_RAM + RAM_BYTES) {
			state.ram[command - WRITE_RAM] = byte;
			if (command === WRITE_RAM) state.system = (byte & SYSTEM_FLAG) !== 0;
			return;
		}
		switch (command) {
			case WRITE_OUTPUT_PORT:
				this.setOutputPort(byte);
				break;
			case WRITE_KEYBOARD_BUFFER:
				this.answer(byte);
				break;
			case WRITE_MOUSE_BUFFER:
				this.answer(byte, true);
				break;
			case WRITE_MOUSE:
				this.commandByte &= ~MOUSE_OFF;
				this.mouse.receive(byte);
				break;
			default:
				this.commandByte &= ~KEYBOARD_OFF;
				this.keyboard.receive(byte);
				break;
		}
	}

	private writeCommand(byte: number): void {
		const { state } = this;
		state.command = 0;
		if (byte >= READ_RAM && byte < READ_RAM + RAM_BYTES) {
			this.answer(state.ram[byte - READ_RAM] ?? 0);
			return;
		}
		if (byte >= WRITE_RAM && byte < WRITE_RAM + RAM_BYTES) {
			state.command = byte;
			return;
		}
		if (byte >= PULSE) {
			// Bits 3:0 name the lines to leave alone; only line 0, reset, is connected.
			if ((byte & OUT_NO_RESET) === 0) this.power.reset("keyboard");
			return;
		}
		switch (byte) {
			case WRITE_OUTPUT_PORT:
			case WRITE_KEYBOARD_BUFFER:
			case WRITE_MOUSE_BUFFER:
			case WRITE_MOUSE:
				state.command = byte;
				break;
			case PASSWORD_TEST:
				this.answer(NO_PASSWORD);
				break;
			case MOUSE_DISABLE:
				this.commandByte |= MOUSE_OFF;
				break;
			case MOUSE_ENABLE:
				this.commandByte &= ~MOUSE_OFF;
				break;
			case KEYBOARD_DISABLE:
				this.commandByte |= KEYBOARD_OFF;
				break;
			case KEYBOARD_ENABLE:
				this.commandByte &= ~KEYBOARD_OFF;
				break;
			case MOUSE_TEST:
			case KEYBOARD_TEST:
			case READ_TEST_INPUTS:
				this.answer(0);
				break;
			case SELF_TEST:
				state.system = true;
				this.answer(SELF_TEST_PASSED);
				break;
			case READ_INPUT_PORT:
				this.answer(INPUT_PORT);
				break;
			case READ_OUTPUT_PORT: {
				const buffers = state.full ? (state.output.mouse ? OUT_MOUSE_FULL : OUT_KEYBOARD_FULL) : 0;
				this.answer(state.outputPort | buffers);
				break;
			}
			case A20_OFF:
			case A20_ON:
				this.setOutputPort(byte === A20_ON ? state.outputPort | OUT_A20 : state.outputPort & ~OUT_A20);
				break;
			default:
				break;
		}
	}

	private setOutputPort(value: number): void {
		// The buffer bits are the controller's own.
		this.state.outputPort = value & ~(OUT_KEYBOARD_FULL | OUT_MOUSE_FULL);
		this.updateLines();
		if ((value & OUT_NO_RESET) === 0) this.power.reset("keyboard");
	}

	/** The guest can keep asking without reading; then the oldest answers are lost. */
	private answer(value: number, mouse = false): void {
		this.state.answers = [...this.state.answers.slice(-15), { value, mouse }];
	}

	/** Fills the output buffer if it is empty and something waits. */
	private deliver(): void {
		const { state } = this;
		if (!state.full) {
			const byte = state.answers.shift() ?? this.fromDevices();
			if (byte !== undefined) {
				state.output = byte;
				state.full = true;
			}
		}
		this.updateLines();
	}

	private fromDevices(): BufferedByte | undefined {
		const keyboardOn = (this.commandByte & KEYBOARD_OFF) === 0;
		const mouseOn = (this.commandByte & MOUSE_OFF) === 0;
		if (!(keyboardOn && this.keyboard.pending) && !(mouseOn && this.mouse.pending)) return undefined;
		if (this.clock.now() < this.state.readyAt) {
			this.delivery.at(this.state.readyAt);
			return undefined;
		}
		const value = keyboardOn ? this.keyboardByte() : undefined;
		if (value !== undefined) return { value, mouse: false };
		const moved = mouseOn ? this.mouse.next() : undefined;
		return moved === undefined ? undefined : { value: moved, mouse: true };
	}

	private keyboardByte(): number | undefined {
		const { state } = this;
		for (;;) {
			const byte = this.keyboard.next();
			if (byte === undefined || (this.commandByte & TRANSLATE) === 0) return byte;
			if (byte === RELEASE) state.release = true;
			else {
				const code = translate(byte) | (state.release ? 0x80 : 0);
				state.release = false;
				return code;
			}
		}
	}

	private updateLines(): void {
		const { full, output, outputPort } = this.state;
		this.keyboardIrq.set(full && !output.mouse && (this.commandByte & KEYBOARD_IRQ) !== 0);
		this.mouseIrq.set(full && output.mouse && (this.commandByte & MOUSE_IRQ) !== 0);
		this.a20.set((outputPort & OUT_A20) !== 0);
	}
}
