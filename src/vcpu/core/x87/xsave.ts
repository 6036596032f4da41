import { RAX, VECTOR } from "../../../isa/registers.ts";
import { type Ex, i32, i64, type Local } from "../../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../../wasm/function.ts";
import { XSAVE_COMPONENTS, XSAVE_HEADER_END } from "../../cpuid.ts";
import { F, GPRS, STATUS } from "../../layout.ts";
import { LEGACY, MXCSR_MASK } from "../../state-image.ts";
import { CR0, CR4, XCR0 } from "../control-bits.ts";
import type { Core } from "../core.ts";
import { hasFeature } from "../feature-bits.ts";
import { FCW } from "./format.ts";
import { alignedOperand, vectorCount } from "./fxsave.ts";

/** Kinds of the helper `xsave`, in order: XSAVE, XSAVEOPT, XSAVEC, XSAVES. From `compact` on the format is the compacted one. */
const KIND = { compact: 2, supervisor: 3 } as const;
const HEADER = LEGACY.end;
const HEADER_BYTES = 64;
/** The header's XSTATE_BV, then XCOMP_BV. */
const COMPACTED = 1n << 63n;
const AVX = XSAVE_HEADER_END;
const AVX_BYTES = 256;
const PKRU_BYTES = 8;
/** Where F.area has PKRU. */
const PKRU_AREA = AVX + AVX_BYTES;
const PKRU_STANDARD = BigInt(XSAVE_COMPONENTS.find(({ bit }) => 1 << bit === XCR0.pkru)?.offset ?? 0);
const MXCSR_INITIAL = 0x1f80;
const ALIGNMENT = 64;

/** What XSAVE and XGETBV know of the state. */
export function defineStateInUse(core: Core): void {
	/** `stateInUse(state)` → XINUSE: components that are not as reset leaves them (SDM 1 13.6). */
	core.define("stateInUse", ["i32"], ["i32"], (f) => {
		const st = f.param(0);
		const words = [F.fsw, F.ftop, F.ftags, F.fop, F.fcs, F.fds].map((field) => field.of(st));
		const pointers = F.fip.of(st).or(F.fdp.of(st));
		const rest = f.let(
			words
				.reduce((one, other) => one.or(other))
				.or(F.fcw.of(st).xor(FCW.initial))
				.extU()
				.or(pointers),
		);
		const or = (from: number, count: number, step: number, bytes: number): Local => {
			const [at, n, all] = [f.let(st.add(from)), f.local("i32", count), f.local("i64", 0n)];
			f.while(n.ne(0), () => {
				f.set(all, all.or(at.load("i64")));
				f.set(all, all.or(bytes === 16 ? at.load("i64", 8) : at.load("i64_16u", 8)));
				f.set(at, at.add(step));
				f.set(n, n.sub(1));
			});
			return all;
		};
		const x87 = rest.or(or(F.fpr.offset, 8, 16, 10)).ne(0n);
		const sse = or(F.ymm.offset, 16, 32, 16).ne(0n);
		const avx = or(F.ymm.offset + 16, 16, 32, 16).ne(0n);
		const parts: [Ex, number][] = [
			[x87, XCR0.x87],
			[sse, XCR0.sse],
			[avx, XCR0.avx],
			[F.pkru.of(st).ne(0), XCR0.pkru],
		];
		f.return(parts.map(([used, bit]) => used.mul(bit)).reduce((one, other) => one.or(other)));
	});
}

/** XSAVE and its kin (SDM 1 13.7–13.12): x87 state, SSE state, upper halves of YMM registers, PKRU. */
export function defineXsave(core: Core): void {
	defineXsaveLayout(core);
	const area = (st: Ex): Ex => st.add(F.area.offset);
	const raise = (f: FunctionBuilder, st: Ex, vector: number): void => f.return(call(core.fn("raise"), st, vector, 0));

	/** What comes before all of them; the components that EDX:EAX asks for and XCR0 has, none of them above bit 31. */
	const begin = (f: FunctionBuilder, st: Ex, supervisor: Ex): Local => {
		f.if(F.cr4.of(st).wrap().and(CR4.osxsave).eqz(), () => raise(f, st, VECTOR.UD));
		f.if(supervisor.and(F.cpl.of(st).ne(0)), () => raise(f, st, VECTOR.GP));
		f.if(F.cr0.of(st).wrap().and(CR0.ts), () => raise(f, st, VECTOR.NM));
		return f.let(
			F.xcr0
				.of(st)
				.wrap()
				.and(st.load("i32", GPRS + RAX * 8)),
		);
	};

	core.define("helper_xsave", ["i32", "i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, offset, kind, wide] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const wanted = begin(f, st, kind.eq(KIND.supervisor));
		const linear = alignedOperand(core, f, st, rec, offset, XSAVE_HEADER_END, ALIGNMENT, true);
		const compact = f.let(kind.geU(KIND.compact));
		const used = f.let(call(core.fn("stateInUse"), st));
		f.if(compact.and(F.mxcsr.of(st).ne(MXCSR_INITIAL)), () => f.set(used, used.or(XCR0.sse)));
		const written = f.let(wanted.when(kind.eqz(), wanted.and(used)));
		const store = (at: Ex | number, bytes: Ex | number, from: number): void => {
			const to = typeof at === "number" ? linear.add(BigInt(at)) : linear.add(at);
			f.if(call(core.fn("areaStore"), st, rec, to, bytes, from).eq(STATUS.stopHere), () => f.return(STATUS.stopHere));
		};
		const has = (bit: number, then: () => void): void => f.if(written.and(bit), then);
		const header = area(st).add(HEADER);
		f.if(
			compact,
			() => {
				f.store("i64", header, wanted.and(used).extU());
				f.store("i64", header, wanted.extU().or(COMPACTED), 8);
			},
			() => {
				f.check(call(core.fn("areaLoad"), st, rec, linear.add(BigInt(HEADER)), 8, HEADER));
				const kept = header.load("i64").and(wanted.extU().not());
				f.store("i64", header, kept.or(wanted.and(used).extU()));
			},
		);
		f.call(core.fn("legacyToArea"), st, wide);
		f.call(core.fn("mxcsrToArea"), st);
		f.call(core.fn("vectorsToArea"), st, 0, LEGACY.xmm);
		f.call(core.fn("vectorsToArea"), st, 16, AVX);
		has(XCR0.x87, () => {
			store(0, LEGACY.mxcsr, 0);
			store(LEGACY.registers, LEGACY.xmm - LEGACY.registers, LEGACY.registers);
		});
		const mxcsr = written.and(XCR0.sse).when(compact, wanted.and(XCR0.sse | XCR0.avx));
		f.if(mxcsr, () => store(LEGACY.mxcsr, 8, LEGACY.mxcsr));
		const vectors = f.let(call(core.fn("vectorBytes"), st));
		has(XCR0.sse, () => store(LEGACY.xmm, vectors, LEGACY.xmm));
		has(XCR0.avx, () => store(AVX, vectors, AVX));
		has(XCR0.pkru, () => {
			f.store("i64", area(st), F.pkru.of(st).extU(), PKRU_AREA);
			store(call(core.fn("pkruOffset"), compact, wanted), PKRU_BYTES, PKRU_AREA);
		});
		store(HEADER, i32(16).when(compact, 8), HEADER);
		f.return(call(core.fn("stopIfPending"), st));
	});

	core.define("helper_xrstor", ["i32", "i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, offset, supervisor, wide] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const wanted = begin(f, st, supervisor);
		const linear = alignedOperand(core, f, st, rec, offset, XSAVE_HEADER_END, ALIGNMENT, false);
		const load = (at: Ex | number, bytes: Ex | number, to: number): void => {
			const from = typeof at === "number" ? linear.add(BigInt(at)) : linear.add(at);
			f.check(call(core.fn("areaLoad"), st, rec, from, bytes, to));
		};
		load(HEADER, HEADER_BYTES, HEADER);
		const header = f.let(area(st).add(HEADER));
		const [present, layout] = [f.let(header.load("i64")), f.let(header.load("i64", 8))];
		const compact = f.let(layout.ltS(0n));
		const exists = F.xcr0.of(st);
		const rest = [3, 4, 5, 6, 7].map((n) => header.load("i64", n * 8)).reduce((one, other) => one.or(other));
		const beyond = f.let(i64(0).when(compact.eqz(), rest.or(layout.and(~COMPACTED).and(exists.not()))));
		f.set(beyond, beyond.or(header.load("i64", 16)));
		f.set(beyond, beyond.or(present.and(layout.when(compact, exists).not())));
		f.if(compact.eqz(), () => f.set(beyond, beyond.or(layout)));
		const refused = beyond.ne(0n).or(supervisor.and(compact.eqz()));
		f.if(refused.or(compact.and(hasFeature(st, "xsavec").eqz())), () => raise(f, st, VECTOR.GP));

		const loaded = f.let(wanted.and(present.wrap()));
		const vectors = f.let(call(core.fn("vectorBytes"), st));
		// Everything is read and checked before anything changes.
		f.if(loaded.and(XCR0.x87), () => load(0, LEGACY.xmm, 0));
		const mxcsrLoaded = f.let(loaded.and(XCR0.sse).when(compact, wanted.and(XCR0.sse | XCR0.avx)));
		f.if(mxcsrLoaded, () => {
			load(LEGACY.mxcsr, 8, LEGACY.mxcsr);
			f.if(area(st).load("i32", LEGACY.mxcsr).and(~MXCSR_MASK), () => raise(f, st, VECTOR.GP));
		});
		f.if(loaded.and(XCR0.sse), () => load(LEGACY.xmm, vectors, LEGACY.xmm));
		f.if(loaded.and(XCR0.avx), () => load(AVX, vectors, AVX));
		f.if(loaded.and(XCR0.pkru), () => load(call(core.fn("pkruOffset"), compact, layout.wrap()), PKRU_BYTES, PKRU_AREA));

		/** Component `bit`, loaded or as reset leaves it. */
		const restore = (bit: number, take: () => void, initialize: () => void): void =>
			f.if(wanted.and(bit), () => f.if(loaded.and(bit), take, initialize));
		restore(
			XCR0.x87,
			() => f.call(core.fn("legacyFromArea"), st, wide),
			() => {
				f.call(core.fn("fpuInitialize"), st);
				f.memoryFill(st.add(F.fpr.offset), 0, 8 * 16);
			},
		);
		f.if(
			mxcsrLoaded,
			() => F.mxcsr.set(f, st, area(st).load("i32", LEGACY.mxcsr)),
			() => f.if(compact.and(wanted.and(XCR0.sse)), () => F.mxcsr.set(f, st, MXCSR_INITIAL)),
		);
		const vector = (bit: number, half: number, at: number): void =>
			restore(
				bit,
				() => f.call(core.fn("vectorsFromArea"), st, half, at),
				() => {
					f.memoryFill(area(st).add(at), 0, vectors);
					f.call(core.fn("vectorsFromArea"), st, half, at);
				},
			);
		vector(XCR0.sse, 0, LEGACY.xmm);
		vector(XCR0.avx, 16, AVX);
		f.if(wanted.and(XCR0.pkru), () => {
			f.call(core.fn("setPkru"), st, area(st).load("i32", PKRU_AREA).when(loaded.and(XCR0.pkru), 0));
		});
		f.return(STATUS.stopNext);
	});
}

/** Facts that saving and restoring share; they come first. */
function defineXsaveLayout(core: Core): void {
	core.define("vectorBytes", ["i32"], ["i32"], (f) => f.return(vectorCount(f.param(0)).shl(4)));

	/** `pkruOffset(compact, components)` → where PKRU is: in the compacted format behind what else has a place of its own. */
	core.define("pkruOffset", ["i32", "i32"], ["i64"], (f) => {
		const [compact, components] = [f.param(0), f.param(1)];
		const behind = i64(PKRU_AREA).when(components.and(XCR0.avx), AVX);
		f.return(behind.when(compact, PKRU_STANDARD));
	});
}
