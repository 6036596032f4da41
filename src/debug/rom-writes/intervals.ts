/** Addresses from `first` to `last`, and how many stores hit them. */
export interface Interval {
	first: number;
	last: number;
	count: number;
}

/** Which addresses were hit: disjoint intervals in order, at most `most` of them. Where there would be more, the nearest two become one. */
export class Intervals {
	readonly items: Interval[] = [];
	private readonly most: number;
	private recent = 0;
	/** Whether intervals were joined over addresses that were not hit. */
	joined = false;

	constructor(most: number) {
		this.most = most;
	}

	/** `size` bytes from `first` on were hit `count` times. */
	add(first: number, size: number, count = 1): void {
		const last = first + size - 1;
		const { items } = this;
		const near = items[this.recent];
		if (near !== undefined && first >= near.first && first <= near.last + 1) {
			const next = items[this.recent + 1];
			if (next === undefined || last + 1 < next.first) {
				if (last > near.last) near.last = last;
				near.count += count;
				return;
			}
		}
		this.insert({ first, last, count });
	}

	private insert(added: Interval): void {
		const { items } = this;
		// What touches the new one becomes part of it.
		const from = items.findIndex(({ last }) => last + 1 >= added.first);
		const at = from < 0 ? items.length : from;
		let end = at;
		while (end < items.length && items[end]!.first <= added.last + 1) {
			const { first, last, count } = items[end]!;
			added.first = Math.min(added.first, first);
			added.last = Math.max(added.last, last);
			added.count += count;
			end++;
		}
		items.splice(at, end - at, added);
		this.recent = at;
		if (items.length > this.most) this.joinNearest();
	}

	private joinNearest(): void {
		const { items } = this;
		let nearest = 1;
		const gap = (n: number): number => items[n]!.first - items[n - 1]!.last;
		for (let n = 2; n < items.length; n++) if (gap(n) < gap(nearest)) nearest = n;
		const [above] = items.splice(nearest, 1);
		const below = items[nearest - 1]!;
		below.last = above!.last;
		below.count += above!.count;
		this.joined = true;
		if (this.recent >= nearest) this.recent--;
	}
}
