import { EXIT, F } from "../vcpu/layout.ts";
import type { Processor } from "../vcpu/processor.ts";

/** Exit reasons, numbers of Linux (KVM_EXIT_*); `budget` is tsvmm's own: the instructions allowed have retired. */
export const EXIT_REASON = {
	unknown: EXIT.unknown,
	io: EXIT.io,
	debug: EXIT.debug,
	hlt: EXIT.hlt,
	mmio: EXIT.mmio,
	irqWindowOpen: EXIT.irqWindowOpen,
	shutdown: EXIT.shutdown,
	intr: EXIT.intr,
	setTpr: EXIT.setTpr,
	internalError: EXIT.internalError,
	dirtyRingFull: EXIT.dirtyRingFull,
	memoryFault: EXIT.memoryFault,
	budget: EXIT.budget,
	/** tsvmm's own: a store to a readonly slot faults and has not happened; the fault is delivered by the next run. */
	storeRefused: EXIT.storeRefused,
} as const;

const NO_BYTES = new Uint8Array(0);

/** What a vCPU came back for: one object per vCPU, valid until the next run. Fields as in struct kvm_run. */
export class VcpuExit {
	reason = 0;
	/** MMIO: guest-physical address, below 2^52. */
	physAddr = 0;
	/** MMIO: bytes, 1..8. */
	len = 0;
	isWrite = false;
	/** MMIO: eight bytes. What a write stores; a read's answer goes here, and the next run takes it. */
	readonly data: Uint8Array;
	/** The same as two little-endian 32-bit halves. */
	readonly words: Uint32Array;
	/** Port I/O: out (1) or in (0), bytes per element, port, elements. */
	direction = 0;
	size = 0;
	port = 0;
	count = 0;
	/** Port I/O: `size * count` bytes at the start are what goes out, or take the answer. */
	readonly portData: Uint8Array;
	/** The same as little-endian elements of two and four bytes. */
	readonly portHalves: Uint16Array;
	readonly portWords: Uint32Array;
	/** internalError: KVM_INTERNAL_ERROR_* (1: emulation), and the bytes at CS:IP that could be read, at most 15. */
	suberror = 0;
	instructionBytes: Uint8Array = NO_BYTES;
	/** debug: vector (1 or 3), linear address of the next instruction, DR6 and DR7 as the processor would show them. */
	exception = 0;
	pc = 0n;
	dr6 = 0;
	dr7 = 0;
	/** memoryFault: KVM_MEMORY_EXIT_FLAG_*; the page is `physAddr`, its size `len`. */
	memoryFlags = 0;

	constructor(processor: Processor) {
		const { memory, state } = processor;
		this.data = memory.bytes(state + F.exitData.offset, 8);
		this.words = new Uint32Array(memory.memory.buffer, state + F.exitData.offset, 2);
		const buffer = processor.portBuffer;
		this.portData = memory.bytes(buffer, 4096);
		this.portHalves = new Uint16Array(memory.memory.buffer, buffer, 2048);
		this.portWords = new Uint32Array(memory.memory.buffer, buffer, 1024);
	}
}
