import type { ByteSink } from "../bus/device.ts";

/** What the texts on the consoles say about a run. */
export type Verdict = { readonly kind: "expected" } | { readonly kind: "unwanted"; readonly text: string };

/** States of the automaton times bytes. */
const BYTES = 256;

/**
 * Looks for texts in byte streams: all wanted ones must appear, in any order and on any of the streams; one unwanted one
 * decides at once. Texts are compared as UTF-8. An Aho-Corasick automaton, so a byte costs the same however many texts there are.
 */
export class Expectations {
	private readonly texts: readonly { readonly text: string; readonly unwanted: boolean }[];
	/** Next state for each state and byte. */
	private readonly next: Int32Array;
	/** For each state, the texts that end there. */
	private readonly ends: readonly (readonly number[])[];
	private readonly missingTexts: Set<number>;
	private readonly decide: (verdict: Verdict) => void;
	private decided = false;

	/** `decide` is called once, from within the write of the deciding byte. */
	constructor(wanted: readonly string[], unwanted: readonly string[], decide: (verdict: Verdict) => void) {
		this.texts = [
			...unwanted.map((text) => ({ text, unwanted: true })),
			...wanted.map((text) => ({ text, unwanted: false })),
		];
		this.decide = decide;
		this.missingTexts = new Set(this.texts.flatMap((each, at) => (each.unwanted ? [] : [at])));
		const { next, ends } = automaton(this.texts.map((each) => Buffer.from(each.text, "utf8")));
		this.next = next;
		this.ends = ends;
	}

	/** Wanted texts that have not appeared yet. */
	get missing(): readonly string[] {
		return Array.from(this.missingTexts, (at) => this.texts[at]!.text);
	}

	/** A sink that watches one stream and passes it on. Each stream is matched on its own. */
	watch(sink: ByteSink): ByteSink {
		if (this.texts.length === 0) return sink;
		let state = 0;
		return {
			write: (byte) => {
				sink.write(byte);
				state = this.next[state * BYTES + (byte & 0xff)]!;
				const found = this.ends[state]!;
				if (found.length > 0) this.found(found);
			},
		};
	}

	private found(texts: readonly number[]): void {
		if (this.decided) return;
		for (const at of texts) {
			const { text, unwanted } = this.texts[at]!;
			if (unwanted) {
				this.decided = true;
				this.decide({ kind: "unwanted", text });
				return;
			}
			this.missingTexts.delete(at);
		}
		if (this.missingTexts.size === 0 && this.texts.some((each) => !each.unwanted)) {
			this.decided = true;
			this.decide({ kind: "expected" });
		}
	}
}

function automaton(patterns: readonly Uint8Array[]): { next: Int32Array; ends: number[][] } {
	const most = 1 + patterns.reduce((sum, pattern) => sum + pattern.length, 0);
	const next = new Int32Array(most * BYTES);
	const ends: number[][] = [[]];
	patterns.forEach((pattern, index) => {
		let state = 0;
		for (const byte of pattern) {
			if (next[state * BYTES + byte] === 0) {
				next[state * BYTES + byte] = ends.length;
				ends.push([]);
			}
			state = next[state * BYTES + byte]!;
		}
		ends[state]!.push(index);
	});
	// Breadth first: where a state has no edge of its own it takes that of its longest proper suffix.
	const suffix = new Int32Array(ends.length);
	const queue: number[] = [];
	for (let byte = 0; byte < BYTES; byte++) if (next[byte] !== 0) queue.push(next[byte]!);
	for (let state = queue.shift(); state !== undefined; state = queue.shift()) {
		const shorter = suffix[state]!;
		ends[state]!.push(...ends[shorter]!);
		for (let byte = 0; byte < BYTES; byte++) {
			const at = state * BYTES + byte;
			const fallback = next[shorter * BYTES + byte]!;
			if (next[at] === 0) next[at] = fallback;
			else {
				suffix[next[at]!] = fallback;
				queue.push(next[at]!);
			}
		}
	}
	return { next, ends };
}
