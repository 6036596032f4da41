import { workerData } from "node:worker_threads";
import { yieldToOthers } from "../host/thread-priority.ts";
import { createUnitMaker } from "../vcpu/jit/unit-maker.ts";
import type { FromWorker, ToWorker, WorkerStart } from "./workshop-beside.ts";

// The thread in which units are made; see WorkshopBeside.
const { memory, arena, bytes, port, features, bell, ready } = workerData as WorkerStart;
yieldToOthers();
const maker = createUnitMaker({ memory, arena, bytes }, features);
const words = new Int32Array(memory.buffer, 0, Math.max(bell, ready) / 4 + 1);

port.on("message", (message: ToWorker) => {
	if ("restart" in message) {
		maker.restart(message.restart);
		return;
	}
	const answer: FromWorker = { result: maker.make(message) };
	port.postMessage(answer);
	// The bell rings when the message is there.
	Atomics.add(words, bell >> 2, 1);
});
Atomics.store(words, ready >> 2, 1);
