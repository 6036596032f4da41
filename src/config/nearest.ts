/** Edits (insert, delete, replace, swap neighbours) that turn `a` into `b`. */
function distance(a: string, b: string): number {
	let before: number[] = [];
	let last = Array.from({ length: b.length + 1 }, (_, at) => at);
	for (let i = 1; i <= a.length; i++) {
		const row = [i];
		for (let j = 1; j <= b.length; j++) {
			const replaced = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
			let best = Math.min(last[j]! + 1, row[j - 1]! + 1, replaced);
			if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] && i > 1 && j > 1) best = Math.min(best, before[j - 2]! + 1);
			row.push(best);
		}
		before = last;
		last = row;
	}
	return last[b.length]!;
}

/** ` (did you mean X?)` for the name closest to `wrong`, or nothing when none is close. */
export function nearest(wrong: string, names: readonly string[]): string {
	let best = "";
	let edits = Math.max(1, Math.floor(wrong.length / 3)) + 1;
	for (const name of names) {
		const needed = distance(wrong.toLowerCase(), name.toLowerCase());
		const shortened = name.startsWith(wrong) && wrong.length >= 3 ? 1 : needed;
		if (shortened < edits) [best, edits] = [name, shortened];
	}
	return best === "" ? "" : ` (did you mean ${best}?)`;
}
