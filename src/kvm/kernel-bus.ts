import type { ProcessorHost } from "../vcpu/processor-host.ts";
import { CoalescedZones } from "./coalesced.ts";
import { IoEventFds } from "./ioeventfd.ts";

type MemoryBus = NonNullable<ProcessorHost["bus"]>;
type PortBus = NonNullable<ProcessorHost["port"]>;

/** What takes writes inside the hypervisor, before they would leave the guest: ioeventfds, then coalesced zones. */
export class KernelBus {
	readonly zones = new CoalescedZones();
	readonly ioeventfds = new IoEventFds();
	private readonly words = new Uint32Array(2);

	/** Whether a write could be taken at all. */
	get isEmpty(): boolean {
		return this.zones.empty && this.ioeventfds.empty;
	}

	/** A write of 1 to 8 bytes, in two words, to memory (`pio` 0) or a port (1). @returns whether it was taken. */
	write(addr: number, len: number, pio: number, words: Uint32Array): boolean {
		return this.ioeventfds.write(addr, len, pio, words) || this.zones.write(addr, len, pio, words);
	}

	/** The bus that a processor sees: this one, then what the machine has. Reads are never taken here. */
	before(machine: MemoryBus | undefined): MemoryBus {
		return (isWrite, gpa, length, data, setData) => {
			if (isWrite) {
				this.words[0] = Number(data & 0xffff_ffffn);
				this.words[1] = Number(data >> 32n);
				if (this.write(Number(gpa), length, 0, this.words)) return true;
			}
			return machine?.(isWrite, gpa, length, data, setData) ?? false;
		};
	}

	/** The port accesses that a processor makes without an exit: writes go here first. */
	beforePorts(machine: PortBus): PortBus {
		return (isWrite, port, size, value) => {
			if (isWrite && !this.isEmpty) {
				this.words[0] = value;
				this.words[1] = 0;
				if (this.write(port, size, 1, this.words)) return 0;
			}
			return machine(isWrite, port, size, value);
		};
	}
}
