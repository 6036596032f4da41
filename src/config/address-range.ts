/** Addresses from `first` to `last`. */
export interface AddressRange {
	readonly first: bigint;
	readonly last: bigint;
}

function addressOf(text: string): bigint | undefined {
	return /^(0x[0-9a-f]+|[0-9]+)$/i.test(text) ? BigInt(text) : undefined;
}

/** `FIRST-LAST`, `FIRST+BYTES` or one address, all below `end`. @returns undefined where the text is none of them. */
export function rangeBelow(text: string, end: bigint): AddressRange | undefined {
	const [, start = "", sign, rest = ""] = /^([^-+]+)(?:([-+])(.+))?$/.exec(text.trim()) ?? [];
	const first = addressOf(start);
	const second = sign === undefined ? first : addressOf(rest);
	if (first === undefined || second === undefined) return undefined;
	const last = sign === "+" ? first + second - 1n : second;
	return last < first || last >= end ? undefined : { first, last };
}
