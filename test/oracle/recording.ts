import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { brotliDecompressSync } from "node:zlib";

/** Where the answers of a processor are kept. */
export const RECORDING = fileURLToPath(new URL("recording.br", import.meta.url));

/** What a processor answered: its name, and for each form one byte of each case's hash and one word over all of them. */
export interface Recording {
	readonly processor: string;
	readonly forms: ReadonlyMap<string, { readonly bytes: Uint8Array; readonly word: number }>;
}

/** The low byte of each hash, and all hashes together in one word. */
export function condense(hashes: Uint32Array): { bytes: Uint8Array; word: number } {
	const bytes = Uint8Array.from(hashes, (hash) => hash & 0xff);
	let word = 0;
	for (const hash of hashes) word = (Math.imul(word ^ hash, 0x9e3779b1) + 1) >>> 0;
	return { bytes, word };
}

/** The file: a length and JSON (processor, names and counts of forms), then each form's word and bytes. */
export function encodeRecording({ processor, forms }: Recording): Uint8Array {
	const list = [...forms];
	const head = Buffer.from(JSON.stringify({ processor, forms: list.map(([name, { bytes }]) => [name, bytes.length]) }));
	const length = Buffer.alloc(4);
	length.writeUInt32LE(head.length);
	const parts = list.flatMap(([, { bytes, word }]) => {
		const four = Buffer.alloc(4);
		four.writeUInt32LE(word);
		return [four, Buffer.from(bytes)];
	});
	return Buffer.concat([length, head, ...parts]);
}

export function readRecording(): Recording {
	const data = brotliDecompressSync(readFileSync(RECORDING));
	const headEnd = 4 + data.readUInt32LE(0);
	const head = JSON.parse(data.toString("utf8", 4, headEnd)) as { processor: string; forms: [string, number][] };
	let at = headEnd;
	const forms = new Map<string, { bytes: Uint8Array; word: number }>();
	for (const [name, count] of head.forms) {
		forms.set(name, { word: data.readUInt32LE(at), bytes: data.subarray(at + 4, at + 4 + count) });
		at += 4 + count;
	}
	return { processor: head.processor, forms };
}
