const WORDS = 8;

/** 256 bits, one per vector: ISR, TMR or IRR. */
export class VectorSet {
	private readonly words = new Uint32Array(WORDS);

	add(vector: number): void {
		this.words[vector >> 5]! |= 1 << (vector & 31);
	}

	delete(vector: number): void {
		this.words[vector >> 5]! &= ~(1 << (vector & 31));
	}

	has(vector: number): boolean {
		return ((this.words[vector >> 5]! >>> (vector & 31)) & 1) === 1;
	}

	/** The highest vector in the set, or -1. */
	highest(): number {
		for (let i = WORDS - 1; i >= 0; i--) {
			const word = this.words[i]!;
			if (word !== 0) return i * 32 + 31 - Math.clz32(word);
		}
		return -1;
	}

	/** Bits 32 * `index` and up, as a register shows them. */
	word(index: number): number {
		return this.words[index] ?? 0;
	}

	clear(): void {
		this.words.fill(0);
	}

	save(): number[] {
		return [...this.words];
	}

	load(words: readonly number[]): void {
		this.words.set(words.slice(0, WORDS));
	}
}
