import { EXIT, F } from "../vcpu/layout.ts";
import type { Processor } from "../vcpu/processor.ts";
import type { KvmResult } from "./errno.ts";

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
	internalError: EXIT.internalError,
	dirtyRingFull: EXIT.dirtyRingFull,
	memoryFault: EXIT.memoryFault,
	budget: EXIT.budget,
} as const;

/** What a {@link Vcpu} came back for: one object per vCPU, valid until the next run. Fields as in struct kvm_run. */
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
	/** internalError: KVM_INTERNAL_ERROR_*. */
	suberror = 0;

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

/** A virtual processor as KVM has them: {@link run} executes guest code until user space has to act. */
export class Vcpu {
	readonly id: number;
	readonly processor: Processor;
	readonly exit: VcpuExit;
	private awaiting: "nothing" | "mmio" | "port" = "nothing";

	constructor(id: number, processor: Processor) {
		this.id = id;
		this.processor = processor;
		this.exit = new VcpuExit(processor);
	}

	/** After reset, or INIT. An exit that waits for its answer is forgotten. */
	reset(kind: "power-on" | "init" = "power-on"): void {
		this.awaiting = "nothing";
		this.processor.reset(kind);
	}

	/**
	 * KVM_RUN: completes what the last exit left open, then runs.
	 * @returns 0 with {@link exit} filled in, or EFAULT with reason memoryFault: RAM without backing was touched.
	 */
	run(): KvmResult {
		const { processor, exit } = this;
		if (this.awaiting !== "nothing") {
			if (this.awaiting === "mmio") processor.answerRead();
			else processor.answerPort();
			this.awaiting = "nothing";
		}
		const reason = processor.run();
		exit.reason = reason;
		if (reason === EXIT.mmio) {
			exit.physAddr = processor.getNumber(F.exitAddress);
			exit.len = processor.get(F.exitLength);
			exit.isWrite = processor.get(F.exitIsWrite) !== 0;
			if (!exit.isWrite) this.awaiting = "mmio";
		} else if (reason === EXIT.io) {
			exit.direction = processor.get(F.ioDirection);
			exit.size = processor.get(F.ioSize);
			exit.port = processor.get(F.ioPort);
			exit.count = processor.get(F.ioTotal);
			if (exit.direction === 0) this.awaiting = "port";
			else exit.portWords[0] = processor.get(F.portData);
		} else if (reason === EXIT.internalError) {
			exit.suberror = processor.get(F.errorSub);
		} else if (reason === EXIT.memoryFault) {
			exit.physAddr = processor.getNumber(F.exitAddress);
			exit.len = 4096;
			return "EFAULT";
		}
		return 0;
	}
}
