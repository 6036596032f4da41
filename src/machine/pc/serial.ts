import type { Clock, IrqLine } from "../../bus/device.ts";
import { Uart16550 } from "../../devices/uart16550.ts";
import type { SerialLine } from "../outcome.ts";

/** Ports and ISA interrupts of the serial ports, COM1 first. */
export const SERIAL_PORTS = [
	{ base: 0x3f8, irq: 4 },
	{ base: 0x2f8, irq: 3 },
	{ base: 0x3e8, irq: 4 },
	{ base: 0x2e8, irq: 3 },
] as const;

/** Registers of a serial port. */
export const SERIAL_REGISTERS = 8;

/**
 * A serial port joined to its outer side. What arrives there waits until the guest has looked for it once, so that nothing is lost to
 * its setting up the port, and then until the port has room.
 */
export function serialPort({ output, input }: SerialLine, irq: IrqLine, clock: Clock): Uart16550 {
	let listening = false;
	const feed = (): void => {
		while (input && uart.room > 0) {
			const bytes = input.take(uart.room);
			if (bytes.length === 0) return;
			uart.receive(bytes);
		}
	};
	const roomMade = (): void => {
		listening = true;
		feed();
	};
	const uart = new Uart16550({ irq, sink: output, clock, ...(input ? { roomMade } : {}) });
	input?.onArrival(() => {
		if (listening) feed();
	});
	return uart;
}
