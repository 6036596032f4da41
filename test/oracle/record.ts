/** Records what the processor of this machine answers to every case: `npx tsx test/oracle/record.ts`. Needs gcc, Linux and x86-64. */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { brotliCompressSync } from "node:zlib";
import { encodings, instances } from "./cases.ts";
import { askHost } from "./host.ts";
import { condense, encodeRecording, RECORDING } from "./recording.ts";

const forms = new Map<string, ReturnType<typeof condense>>();
let cases = 0;
for (const [name, instance] of instances()) {
	const answers = askHost(encodings(name, instance), "hashes");
	const hashes = new Uint32Array(answers.buffer, answers.byteOffset, answers.length / 4);
	forms.set(name, condense(hashes));
	cases += hashes.length;
}
writeFileSync(RECORDING, brotliCompressSync(encodeRecording({ processor: cpus()[0]?.model ?? "unknown", forms })));
console.log(`${forms.size} forms, ${cases} cases`);
