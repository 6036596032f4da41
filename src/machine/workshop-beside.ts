import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import { Bug } from "../base/errors.ts";
import type { Feature } from "../isa/features.ts";
import type { TableRoom, UnitOrder, UnitResult, Workshop } from "../vcpu/jit/unit-order.ts";

/** Bundled by the build; there is none where tsvmm runs from source. */
const PROGRAM = new URL("./unit-worker.cjs", import.meta.url);
/** Orders under way at most: what is in it is made from code as it was when it was ordered. */
const MOST_ORDERS = 8;

/** What the worker is started with. */
export interface WorkerStart extends TableRoom {
	readonly port: MessagePort;
	readonly features: readonly Feature[] | undefined;
	/** Address of a word that counts messages to the processor's thread. */
	readonly bell: number;
}

export type ToWorker = UnitOrder | { readonly restart: readonly Feature[] | undefined };
export interface FromWorker {
	readonly result: UnitResult;
}

/** Whether units can be made beside the guest: that takes a second processor. */
export function canWorkBeside(): boolean {
	return availableParallelism() > 1 && existsSync(PROGRAM);
}

/** Makes units in a thread of its own, so that the guest goes on meanwhile. The thread starts with the first order. */
export class WorkshopBeside implements Workshop {
	private readonly room: TableRoom;
	private readonly program: URL;
	private readonly bell: number;
	private readonly words: Int32Array;
	private worker: { readonly thread: Worker; readonly port: MessagePort } | undefined;
	/** Who waits, oldest first; undefined: nobody any more. */
	private readonly waiting: (((result: UnitResult) => void) | undefined)[] = [];
	private heard = 0;
	private failure: unknown;
	/** The host has no room for the thread: nothing is made, and all is interpreted. */
	private barred = false;
	private features: readonly Feature[] | undefined;

	/** `program`: what the thread runs. */
	constructor(room: TableRoom, program: URL = PROGRAM) {
		this.program = program;
		// A word before the tables.
		this.bell = room.arena;
		this.room = { memory: room.memory, arena: room.arena + 8, bytes: room.bytes - 8 };
		this.words = new Int32Array(room.memory.buffer, 0, (room.arena + 8) / 4);
	}

	get most(): number {
		return this.barred ? 0 : MOST_ORDERS;
	}

	get busy(): number {
		return this.waiting.length;
	}

	make(order: UnitOrder, done: (result: UnitResult) => void): void {
		try {
			this.worker ??= this.start();
		} catch (error) {
			this.failed(error);
			return;
		}
		this.waiting.push(done);
		const message: ToWorker = order;
		this.worker.port.postMessage(message, [order.code.buffer]);
	}

	/** @throws Bug where the thread has met one. */
	poll(): void {
		if (this.failure !== undefined) throw new Bug("a unit could not be made", { cause: this.failure });
		if (this.waiting.length === 0 || Atomics.load(this.words, this.bell >> 2) === this.heard) return;
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
		const workerData: WorkerStart = { ...this.room, port: port2, features: this.features, bell: this.bell };
		this.heard = 0;
		Atomics.store(this.words, this.bell >> 2, 0);
		const thread = new Worker(this.program, { workerData, transferList: [port2], execArgv: [] });
		thread.on("error", (error) => this.failed(error));
		// It keeps no process alive.
		thread.unref();
		port1.unref();
		return { thread, port: port1 };
	}

	private failed(error: unknown): void {
		if (error instanceof Error && "code" in error && String(error.code).startsWith("ERR_WORKER_")) this.barred = true;
		else this.failure = error;
	}
}
