import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import { Bug } from "../base/errors.ts";
import type { Feature } from "../isa/features.ts";
import type { UnitMaker } from "../vcpu/jit/unit-maker.ts";
import * as making from "../vcpu/jit/unit-maker.ts"; // deferred
import type { TableRoom, UnitOrder, UnitResult, Workshop } from "../vcpu/jit/unit-order.ts";

/** Bundled by the build; there is none where tsvmm runs from source. */
const PROGRAM = new URL("./unit-worker.cjs", import.meta.url);
/** Orders under way at most: what is in it is made from code as it was when it was ordered. */
const MOST_ORDERS = 8;

/** Bytes for tables of units that are made in place. */
const FIRST_BYTES = 4 << 20;
/** Words before the tables, by offset: a count of messages from the thread, and whether it is there. */
const BELL = 0;
const READY = 4;
const WORDS_BYTES = 8;

/** What the worker is started with. */
export interface WorkerStart extends TableRoom {
	readonly port: MessagePort;
	readonly features: readonly Feature[] | undefined;
	/** Addresses of a word that counts messages to the processor's thread, and of one that is 1 once this thread takes orders. */
	readonly bell: number;
	readonly ready: number;
}

export type ToWorker = UnitOrder | { readonly restart: readonly Feature[] | undefined };
export interface FromWorker {
	readonly result: UnitResult;
}

/** Whether units can be made beside the guest: that takes a second processor. */
export function canWorkBeside(): boolean {
	return availableParallelism() > 1 && existsSync(PROGRAM);
}

/**
 * Makes units in a thread of its own, so that the guest goes on meanwhile. The thread starts with the first order, which takes tens of
 * milliseconds, so that this one is made in place, as all are where the host has no room for a thread.
 */
export class WorkshopBeside implements Workshop {
	readonly most = MOST_ORDERS;
	/** Tables of units that the thread makes, and of those made in place. */
	private readonly room: TableRoom;
	private readonly firstRoom: TableRoom;
	private first: UnitMaker | undefined;
	private readonly program: URL;
	private readonly base: number;
	private readonly words: Int32Array;
	private worker: { readonly thread: Worker; readonly port: MessagePort } | undefined;
	/** Who waits, oldest first; undefined: nobody any more. */
	private readonly waiting: (((result: UnitResult) => void) | undefined)[] = [];
	private heard = 0;
	private failure: unknown;
	private features: readonly Feature[] | undefined;

	/** `program`: what the thread runs. */
	constructor(room: TableRoom, program: URL = PROGRAM) {
		this.program = program;
		const { memory, arena } = room;
		this.base = arena;
		this.words = new Int32Array(memory.buffer, 0, (arena + WORDS_BYTES) / 4);
		this.firstRoom = { memory, arena: arena + WORDS_BYTES, bytes: FIRST_BYTES };
		const taken = WORDS_BYTES + FIRST_BYTES;
		this.room = { memory, arena: arena + taken, bytes: room.bytes - taken };
	}

	/** Whether the thread takes orders. */
	get isReady(): boolean {
		return this.word(READY) !== 0;
	}

	get busy(): number {
		return this.waiting.length;
	}

	make(order: UnitOrder, done: (result: UnitResult) => void): void {
		try {
			this.worker ??= this.start();
		} catch (error) {
			this.failed(error);
		}
		if (!this.worker || !this.first) {
			this.first ??= making.createUnitMaker(this.firstRoom, this.features);
			done(this.first.make(order));
			return;
		}
		this.waiting.push(done);
		const message: ToWorker = order;
		this.worker.port.postMessage(message, [order.code.buffer]);
	}

	/** @throws Bug where the thread has met one. */
	poll(): void {
		if (this.failure !== undefined) throw new Bug("a unit could not be made", { cause: this.failure });
		if (this.waiting.length === 0 || this.word(BELL) === this.heard) return;
		for (;;) {
			const received = receiveMessageOnPort(this.worker!.port);
			if (!received) return;
			this.heard = (this.heard + 1) | 0;
			const { result } = received.message as FromWorker;
			this.waiting.shift()?.(result);
		}
	}

	restart(features: readonly Feature[] | undefined): void {
		this.features = features;
		this.first?.restart(features);
		this.waiting.fill(undefined);
		const message: ToWorker = { restart: features };
		this.worker?.port.postMessage(message);
	}

	close(): void {
		const { worker } = this;
		this.waiting.length = 0;
		this.worker = undefined;
		worker?.port.close();
		void worker?.thread.terminate();
	}

	private start(): { thread: Worker; port: MessagePort } {
		const { port1, port2 } = new MessageChannel();
		const workerData: WorkerStart = {
			...this.room,
			port: port2,
			features: this.features,
			bell: this.base + BELL,
			ready: this.base + READY,
		};
		this.heard = 0;
		for (const word of [BELL, READY]) Atomics.store(this.words, (this.base + word) >> 2, 0);
		const thread = new Worker(this.program, { workerData, transferList: [port2], execArgv: [] });
		thread.on("error", (error) => this.failed(error));
		// It keeps no process alive.
		thread.unref();
		port1.unref();
		return { thread, port: port1 };
	}

	private word(offset: number): number {
		return Atomics.load(this.words, (this.base + offset) >> 2);
	}

	private failed(error: unknown): void {
		const isHosts = error instanceof Error && "code" in error && String(error.code).startsWith("ERR_WORKER_");
		if (!isHosts) this.failure = error;
	}
}
