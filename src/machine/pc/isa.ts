import { assert, UserError } from "../../base/errors.ts";
import type { ByteSink, Clock, PowerControl } from "../../bus/device.ts";
import { OrLine } from "../../bus/lines.ts";
import type { MachineConfig } from "../../config/index.ts";
import { CoprocessorError } from "../../devices/coprocessor-error.ts";
import { DebugExit } from "../../devices/debug-exit.ts";
import { DebugCon } from "../../devices/debugcon.ts";
import { Hpet } from "../../devices/hpet.ts";
import { I8042 } from "../../devices/i8042.ts";
import { IOAPIC_PINS } from "../../devices/ioapic.ts";
import { Pit8254 } from "../../devices/pit8254.ts";
import { Port61 } from "../../devices/port61.ts";
import { Port92 } from "../../devices/port92.ts";
import { PostPort } from "../../devices/post.ts";
import { Rtc } from "../../devices/rtc.ts";
import { TEST_MEMORY_BYTES, TEST_PORTS, TestLines, TestMemory, TestPorts } from "../../devices/test-device.ts";
import { nullSink } from "../../host/byte-writer.ts";
import type { SerialLine } from "../outcome.ts";
import { type Interrupts, ISA_LINES, type ProcessorPins } from "./interrupts.ts";
import type { PcMemory } from "./memory.ts";
import type { PortSpace } from "./port-space.ts";
import { SERIAL_PORTS, SERIAL_REGISTERS, serialPort } from "./serial.ts";

/** The input of the I/O APIC that the HPET's timers can have. */
const HPET_PIN = 2;
/** Where pc-testdev is. */
const TEST_DEVICE_PORTS = 0xe0;
const TEST_DEVICE_LINES = 0x2000;
const TEST_DEVICE_MEMORY = 0xff00_0000;

export interface IsaParts {
	readonly clock: Clock;
	readonly power: PowerControl;
	readonly interrupts: Interrupts;
	readonly cpu: Pick<ProcessorPins, "a20" | "ignoreFpuErrors">;
	readonly debugcon: ByteSink;
	readonly serial: readonly SerialLine[];
	/** The date at power-on, milliseconds since 1970 UTC. */
	readonly startUtcMs: number;
}

/** The devices that an AT has always had at fixed ports, and those that emulators have added. */
export class IsaDevices {
	readonly rtc: Rtc;
	readonly i8042: I8042;
	readonly hpet: Hpet;
	readonly coprocessor: CoprocessorError;

	constructor(space: PortSpace, parts: IsaParts) {
		const { clock, power, interrupts, cpu, debugcon } = parts;
		this.hpet = new Hpet({
			clock,
			lines: { timer: interrupts.line(0), rtc: interrupts.line(8), pin: interrupts.pin(HPET_PIN) },
		});
		space.own(this.hpet);
		const pit = new Pit8254({ clock, irq: this.hpet.pit });
		space.place(0x40, 4, pit);
		space.place(0x61, 1, new Port61({ counter: pit.speaker, clock }));

		this.rtc = new Rtc({ clock, irq: this.hpet.rtc, startUtcMs: parts.startUtcMs });
		space.place(0x70, 2, this.rtc);

		const a20 = new OrLine({ set: (open) => cpu.a20(open) });
		this.i8042 = new I8042({
			clock,
			keyboardIrq: interrupts.line(1),
			mouseIrq: interrupts.line(12),
			a20: a20.input(),
			power,
		});
		space.place(0x60, 1, this.i8042, 0);
		space.place(0x64, 1, this.i8042, 4);
		space.place(0x92, 1, new Port92({ a20: a20.input(), power }));

		this.coprocessor = new CoprocessorError({ irq: interrupts.line(13), ignore: () => cpu.ignoreFpuErrors() });
		space.place(0xf0, 2, this.coprocessor);

		space.place(0x80, 1, new PostPort(nullSink));
		const console = new DebugCon(debugcon);
		space.place(0xe9, 1, console);
		space.place(0x402, 1, console);
		parts.serial.forEach((line, n) => {
			const place = SERIAL_PORTS[n];
			assert(place, `serial port ${n}`);
			space.place(place.base, SERIAL_REGISTERS, serialPort(line, interrupts.line(place.irq), clock));
		});
	}
}

/** @throws UserError when the port belongs to a device: call after all others have theirs. */
export function addDebugExit(space: PortSpace, port: MachineConfig["debugExitPort"], power: PowerControl): void {
	if (port === "off") return;
	const count = Math.min(DebugExit.PORTS, 0x10000 - port);
	const taken = space.bus.overlapping(port, port + count - 1);
	if (taken !== undefined) {
		throw new UserError(`--debug-exit: port 0x${port.toString(16)} belongs to ${taken.device.name}`);
	}
	space.place(port, count, new DebugExit(power));
}

/** What tests of processors use: see {@link TestPorts}, {@link TestLines} and {@link TestMemory}. */
export function addTestDevice(space: PortSpace, memory: PcMemory, interrupts: Interrupts): void {
	space.place(TEST_DEVICE_PORTS, TEST_PORTS, new TestPorts());
	const beyondIsa = Array.from({ length: IOAPIC_PINS - ISA_LINES }, (_, n) => interrupts.pin(ISA_LINES + n));
	space.place(TEST_DEVICE_LINES, IOAPIC_PINS, new TestLines([...interrupts.lines(), ...beyondIsa]));
	const bytes = new TestMemory();
	space.own(bytes);
	memory.connect(memory.map.addDevice(bytes.name, TEST_DEVICE_MEMORY, TEST_MEMORY_BYTES), bytes);
}
