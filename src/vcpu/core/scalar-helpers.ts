import { RAX, RBX, RCX, RDX, SEGMENT, VECTOR } from "../../isa/registers.ts";
import { type Ex, i64 } from "../../wasm/expression.ts";
import { call } from "../../wasm/function.ts";
import { EXPLICIT_FLAGS } from "../flag-state.ts";
import { ACCESS, F, GPRS, STATUS } from "../layout.ts";
import { EFLAGS } from "./control-bits.ts";
import type { Core } from "./core.ts";
import { segmentLinear } from "./segment-access.ts";

/** The polynomial of CRC32C, bits in reverse order (SDM 2A CRC32). */
const POLYNOMIAL = 0x82f63b78n;

function gprAt(st: Ex, register: Ex): Ex {
	return st.add(register.shl(3)).load("i64", GPRS);
}

/** CMPXCHG16B, CRC32, PDEP and PEXT, RDRAND and RDSEED. */
export function defineScalarHelpers(core: Core): void {
	/** Memory is stored to either way, as with CMPXCHG. */
	core.define("helper_compareExchange16", ["i32", "i32", "i32", "i64"], ["i32"], (f) => {
		const [st, rec, segment, offset] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const linear = segmentLinear(core, f, st, segment, offset, 16, true);
		const access = f.let(segment.eq(SEGMENT.ss).mul(ACCESS.stack));
		f.if(linear.wrap().and(15), () => {
			// An address that is not canonical is #SS(0) through SS, whatever its alignment.
			f.check(call(core.fn("checkCanonical"), st, linear, 16, access));
			f.return(call(core.fn("raise"), st, VECTOR.GP, 0));
		});
		f.check(call(core.fn("load"), st, rec, linear, 16, access.or(ACCESS.modify)));
		const register = (n: number): Ex => st.load("i64", GPRS + n * 8);
		const [low, high] = [f.let(F.data.of(st)), f.let(F.data.of(st, 8))];
		const equal = f.let(low.eq(register(RAX)).and(high.eq(register(RDX))));
		f.if(equal, () => {
			F.data.set(f, st, register(RBX));
			F.data.set(f, st, register(RCX), 8);
		});
		const status = f.let(call(core.fn("store"), st, rec, linear, 16, access.or(ACCESS.write)));
		f.returnIf(status.eq(STATUS.stopHere), status);
		f.store("i64", st, low, GPRS + RAX * 8);
		f.store("i64", st, high, GPRS + RDX * 8);
		const flags = f.let(call(core.fn("readFlags"), st).and(~EFLAGS.zf));
		f.call(core.fn("writeFlags"), st, flags.or(equal.mul(EFLAGS.zf)));
		f.return(status);
	});

	/** `helper_crc32(state, rec, register, data, bytes)`. */
	core.define("helper_crc32", ["i32", "i32", "i32", "i64", "i32"], ["i32"], (f) => {
		const [st, register, data, bytes] = [f.param(0), f.param(2), f.param(3), f.param(4)];
		// Data beyond the sum's 32 bits moves down into it.
		const crc = f.let(gprAt(st, register).and(0xffffffffn).xor(data));
		const rest = f.let(bytes.shl(3));
		f.while(rest.ne(0), () => {
			f.set(crc, crc.shrU(1).xor(i64(POLYNOMIAL).when(crc.wrap().and(1), 0n)));
			f.set(rest, rest.sub(1));
		});
		f.store("i64", st.add(register.shl(3)), crc.and(0xffffffffn), GPRS);
		f.return(STATUS.next);
	});

	/** `helper_pdep(state, rec, register, source, mask, bytes)`: the low bits of `source` go where `mask` has bits. */
	core.define("helper_pdep", ["i32", "i32", "i32", "i64", "i64", "i32"], ["i32"], (f) => {
		const [st, register, source, mask, bytes] = [f.param(0), f.param(2), f.param(3), f.param(4), f.param(5)];
		const result = f.local("i64", 0);
		f.while(mask.ne(0n), () => {
			const rest = f.let(mask.and(mask.sub(1n)));
			f.if(source.wrap().and(1), () => f.set(result, result.or(mask.xor(rest))));
			f.set(source, source.shrU(1));
			f.set(mask, rest);
		});
		f.call(core.fn("setGpr"), st, register, bytes, result);
		f.return(STATUS.next);
	});

	/** `helper_pext(state, rec, register, source, mask, bytes)`: the bits of `source` where `mask` has some come together below. */
	core.define("helper_pext", ["i32", "i32", "i32", "i64", "i64", "i32"], ["i32"], (f) => {
		const [st, register, source, mask, bytes] = [f.param(0), f.param(2), f.param(3), f.param(4), f.param(5)];
		const [result, place] = [f.local("i64", 0), f.local("i64", 1)];
		f.while(mask.ne(0n), () => {
			const rest = f.let(mask.and(mask.sub(1n)));
			f.if(source.and(mask.xor(rest)).ne(0n), () => f.set(result, result.or(place)));
			f.set(place, place.shl(1));
			f.set(mask, rest);
		});
		f.call(core.fn("setGpr"), st, register, bytes, result);
		f.return(STATUS.next);
	});

	/** `helper_random(state, rec, register, bytes)`: the next number of SplitMix64 (Steele, Lea, Flood 2014). */
	core.define("helper_random", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, register, bytes] = [f.param(0), f.param(2), f.param(3)];
		const state = f.let(F.random.of(st).add(0x9e3779b97f4a7c15n));
		F.random.set(f, st, state);
		const mixed = f.let(state);
		f.set(mixed, mixed.xor(mixed.shrU(30)).mul(0xbf58476d1ce4e5b9n));
		f.set(mixed, mixed.xor(mixed.shrU(27)).mul(0x94d049bb133111ebn));
		f.call(core.fn("setGpr"), st, register, bytes, mixed.xor(mixed.shrU(31)));
		f.store("i32", st, EFLAGS.cf, F.flagA.offset);
		F.flagKind.set(f, st, EXPLICIT_FLAGS);
		f.return(STATUS.next);
	});
}
