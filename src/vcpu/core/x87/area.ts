import { type Ex, i32 } from "../../../wasm/expression.ts";
import { call } from "../../../wasm/function.ts";
import { ACCESS, F, STATUS } from "../../layout.ts";
import type { Core } from "../core.ts";

/** Bytes that one access moves (F.data). */
const PIECE = 64;

/** Moves images of FPU and vector state between F.area and the guest. */
export function defineArea(core: Core): void {
	const access = (user: number): Ex => i32(user | ACCESS.aligned);

	/** `areaLoad(state, rec, linear, bytes, at)` → status: to F.area + `at`. */
	core.define("areaLoad", ["i32", "i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, linear, bytes] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const to = f.let(st.add(F.area.offset).add(f.param(4)));
		const host = f.let(call(core.fn("hit"), st, linear, bytes, F.tlbRead.of(st)));
		f.if(host.ne(0), () => {
			f.memoryCopy(to, host, bytes);
			f.return(0);
		});
		const part = f.local("i32");
		f.while(bytes.ne(0), () => {
			f.set(part, i32(PIECE).when(bytes.gtU(PIECE), bytes));
			f.check(call(core.fn("load"), st, rec, linear, part, access(ACCESS.read)));
			f.memoryCopy(to, st.add(F.data.offset), part);
			f.set(to, to.add(part));
			f.set(bytes, bytes.sub(part));
			f.set(linear, linear.add(part.extU()).and(F.linearMask.of(st)));
		});
		f.return(0);
	});

	/** `areaStore(state, rec, linear, bytes, at)` → 0, stopNext or stopHere: from F.area + `at`; a fault comes before any byte moves. */
	core.define("areaStore", ["i32", "i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, linear, bytes] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const from = f.let(st.add(F.area.offset).add(f.param(4)));
		const host = f.let(call(core.fn("hit"), st, linear, bytes, F.tlbWrite.of(st)));
		f.if(host.ne(0), () => {
			f.memoryCopy(host, from, bytes);
			f.return(0);
		});
		f.check(call(core.fn("probe"), st, linear, bytes, ACCESS.write));
		const part = f.local("i32");
		const status = f.local("i32", 0);
		f.while(bytes.ne(0), () => {
			f.set(part, i32(PIECE).when(bytes.gtU(PIECE), bytes));
			f.memoryCopy(st.add(F.data.offset), from, part);
			f.set(status, call(core.fn("store"), st, rec, linear, part, access(ACCESS.write)));
			f.returnIf(status.eq(STATUS.stopHere), status);
			f.set(from, from.add(part));
			f.set(bytes, bytes.sub(part));
			f.set(linear, linear.add(part.extU()).and(F.linearMask.of(st)));
		});
		f.return(call(core.fn("stopIfPending"), st));
	});
}
