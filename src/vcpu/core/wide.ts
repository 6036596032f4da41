import type { Core } from "./core.ts";

/** Products of 64-bit numbers, which WebAssembly has the low half of only. */
export function defineWide(core: Core): void {
	/** `mulHigh(a, b)`: bits 64 to 127 of the unsigned product. */
	core.define("mulHigh", ["i64", "i64"], ["i64"], (f) => {
		const [a, b] = [f.param(0), f.param(1)];
		const [a0, a1] = [f.let(a.and(0xffffffffn)), f.let(a.shrU(32))];
		const [b0, b1] = [f.let(b.and(0xffffffffn)), f.let(b.shrU(32))];
		const middle = f.let(a1.mul(b0).add(a0.mul(b0).shrU(32)));
		const other = f.let(a0.mul(b1).add(middle.and(0xffffffffn)));
		f.return(a1.mul(b1).add(middle.shrU(32)).add(other.shrU(32)));
	});
}
