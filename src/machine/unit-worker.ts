import { workerData } from "node:worker_threads";
import { yieldToOthers } from "../host/thread-priority.ts";
import { UnitMaker } from "../vcpu/jit/unit-maker.ts";
import type { FromWorker, ToWorker, WorkerStart } from "./workshop-beside.ts";

// The thread in which units are made; see WorkshopBeside.
const { memory, arena, bytes, port, features, bell } = workerData as WorkerStart;
yieldToOthers();
const maker = new UnitMaker(memory, arena, bytes, features);
const words = new Int32Array(memory.buffer, 0, arena / 4);

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
