/** Numbers from 0 to below 1 that only `seed` decides (a linear congruential generator, its high bits). */
export function randomFrom(seed: number): () => number {
	let state = (seed * 2_654_435_761 + 12_345) >>> 0;
	return () => {
		state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
		const high = state >>> 8;
		return high / 0x100_0000;
	};
}
