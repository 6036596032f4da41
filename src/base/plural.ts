/** A count with its noun: `1 byte`, `12,345 bytes`. Not `toLocaleString`: loading its tables takes longer than a short run. */
export function plural(count: number, noun: string, nouns = `${noun}s`): string {
	return `${String(count).replace(/\B(?=(\d{3})+$)/g, ",")} ${count === 1 ? noun : nouns}`;
}
