import { COALESCED_MMIO_MAX, EventFd, EXIT_REASON, IOEVENTFD, type KvmResult, type Vcpu } from "../../src/kvm/index.ts";
import {
	EXITS,
	FEATURES,
	Fields,
	FormatError,
	isObject,
	type Json,
	type JsonObject,
	KEYS,
	numberOf,
	STEPS,
	toBytes,
	toHex,
} from "./format.ts";
import { type Engine, overlay, overlayRegs, VmUnderTest } from "./vm-under-test.ts";

/** What came of a record. */
export type Verdict =
	| { readonly kind: "passed" }
	/** A quirk of the measured host without a decision what to do instead. */
	| { readonly kind: "skipped" }
	/** `step`: number of the step, its text and what it gave; without one the record itself is wrong. */
	| {
			readonly kind: "failed";
			readonly message: string;
			readonly step?: { readonly number: number; readonly expected: Json; readonly actual: Json };
	  };

/** A run without a limit of its own ends after this many milliseconds, as a failure. */
const PATIENCE_MS = 10_000;
const PAGE = 4096;
/** What a bitmap has behind its end, to see whether it stays. */
const UNTOUCHED = 0xe5;

/** Replays one record on a fresh VM through the public interface. */
export async function replay(json: Json, header: Fields, engine: Engine): Promise<Verdict> {
	try {
		const record = new Fields(json, "record", KEYS.record);
		for (const feature of record.list("features", [])) {
			if (typeof feature !== "string" || !FEATURES.includes(feature)) {
				throw new FormatError(`unknown feature ${String(feature)}`);
			}
		}
		const steps = stepsOf(record);
		if (steps === undefined) return { kind: "skipped" };
		for (const step of steps) checkStep(step);
		const test = await VmUnderTest.create(record, header, engine);
		for (const [number, step] of steps.entries()) {
			const expected = new Fields(step, "step").json;
			const actual = await perform(test, new Fields(step, "step"));
			if (!matches(expected, actual)) {
				return { kind: "failed", message: "another answer", step: { number, expected, actual } };
			}
		}
		return { kind: "passed" };
	} catch (error) {
		if (error instanceof FormatError) return { kind: "failed", message: error.message };
		return {
			kind: "failed",
			message: error instanceof Error ? `thrown: ${error.stack ?? error.message}` : String(error),
		};
	}
}

/** The steps that count; undefined where there are none. */
function stepsOf(record: Fields): readonly Json[] | undefined {
	if (record.json["quirk"] !== true) return record.list("steps");
	if (!record.has("deliberate")) return undefined;
	return new Fields(record.json["deliberate"], "deliberate", KEYS.deliberate).list("steps");
}

function checkStep(json: Json): void {
	const op = new Fields(json, "step").text("op");
	const known = STEPS[op];
	if (known === undefined) throw new FormatError(`unknown op ${op}`);
	const step = new Fields(json, op, ["op", ...known.inputs, ...known.outputs]);
	if (!step.has("exit")) return;
	const exit = new Fields(step.json["exit"], "exit");
	const fields = EXITS[exit.text("reason")];
	if (fields === undefined) throw new FormatError(`unknown exit ${exit.text("reason")}`);
	new Fields(step.json["exit"], "exit", ["reason", ...fields]);
}

/** Whether every output that the step lists is what was given. */
function matches(expected: JsonObject, actual: JsonObject): boolean {
	const outputs = STEPS[String(expected["op"])]?.outputs ?? [];
	const mask = numberOf(expected["undefinedFlags"]) ?? 0n;
	return outputs.every((key) => {
		const wanted = expected[key];
		if (wanted === undefined) return true;
		const got = actual[key];
		if (key !== "expect" || !isObject(wanted) || !isObject(got)) {
			return key === "exit" ? contains(wanted, got) : same(wanted, got);
		}
		return Object.entries(wanted).every(([name, value]) => {
			if (name !== "rflags") return contains(value, got[name]);
			const [a, b] = [numberOf(value), numberOf(got[name])];
			return a !== undefined && b !== undefined && (a & ~mask) === (b & ~mask);
		});
	});
}

/** Equal, with numbers compared as numbers however they are written. */
function same(wanted: Json, got: Json | undefined): boolean {
	if (isObject(wanted) && isObject(got)) {
		const keys = new Set([...Object.keys(wanted), ...Object.keys(got)]);
		return [...keys].every((key) => key in wanted && same(wanted[key] as Json, got[key]));
	}
	if (Array.isArray(wanted) && Array.isArray(got)) {
		return wanted.length === got.length && wanted.every((each, n) => same(each as Json, got[n] as Json));
	}
	const [a, b] = [numberOf(wanted), numberOf(got)];
	return a !== undefined && b !== undefined ? a === b : wanted === got;
}

/** Every member that `wanted` lists is in `got`. */
function contains(wanted: Json, got: Json | undefined): boolean {
	if (!isObject(wanted)) return same(wanted, got);
	return isObject(got) && Object.entries(wanted).every(([key, value]) => same(value, got[key]));
}

type Performer = (test: VmUnderTest, step: Fields) => JsonObject;

/** Performs a step. @returns all of its outputs. */
async function perform(test: VmUnderTest, step: Fields): Promise<JsonObject> {
	const performer = PERFORMERS[step.text("op")];
	if (performer === undefined) throw new FormatError(`unknown op ${step.text("op")}`);
	return performer(test, step);
}

function vcpuOf({ vcpu }: VmUnderTest): Vcpu {
	if (vcpu === undefined) throw new FormatError("the record has no vCPU");
	return vcpu;
}

const result = (value: KvmResult | string): JsonObject => ({ result: value });

const PERFORMERS: Readonly<Record<string, Performer>> = {
	setUserMemoryRegion: (test, step) => result(test.setSlot(step, false)),
	setUserMemoryRegion2: (test, step) => result(test.setSlot(step, true)),
	enableCap: ({ vm }, step) =>
		result(
			vm.enableCap({
				cap: step.number("cap"),
				args: step.list("args").map((arg) => BigInt(arg as string)),
				flags: Number(step.hex("flags", 0n)),
			}),
		),
	checkExtension: ({ vm }, step) => result(vm.checkExtension(step.number("cap"))),
	getDirtyLog: (test, step) => {
		const slot = Number(step.hex("slot"));
		if (step.has("badPointer")) return result(test.vm.getDirtyLog(slot, new Uint8Array(0)));
		const npages = test.slotPages.get(slot) ?? 0;
		const bytes = Math.ceil(npages / 64) * 8;
		const bitmap = new Uint8Array(bytes + PAGE).fill(UNTOUCHED);
		const answer = test.vm.getDirtyLog(slot, bitmap);
		if (answer !== 0) return result(answer);
		if (bitmap.subarray(bytes).some((byte) => byte !== UNTOUCHED)) return { result: "wrote behind the bitmap" };
		const pages: number[] = [];
		for (let page = 0; page < bytes * 8; page++) if ((bitmap[page >> 3]! >> (page & 7)) & 1) pages.push(page);
		return { result: 0, pages };
	},
	clearDirtyLog: ({ vm }, step) => {
		const numPages = Number(step.hex("numPages"));
		// What is too much is refused before the bitmap is read.
		const bytes = step.has("badPointer") ? 0 : Math.ceil(Math.min(numPages, 1 << 20) / 64) * 8;
		const bitmap = new Uint8Array(bytes);
		for (const bit of step.list("bits", []) as number[]) bitmap[bit >> 3]! |= 1 << (bit & 7);
		return result(
			vm.clearDirtyLog({ slot: Number(step.hex("slot")), numPages, firstPage: step.hex("firstPage"), bitmap }),
		);
	},
	run,
	getRegs: (test) => {
		const regs = vcpuOf(test).getRegs();
		return { expect: Object.fromEntries(Object.entries(regs).map(([name, value]) => [name, toHex(value)])) };
	},
	setRegs: (test, step) => {
		const regs = vcpuOf(test).getRegs();
		overlayRegs(regs, new Fields(step.json["regs"], "regs"));
		return result(vcpuOf(test).setRegs(regs));
	},
	setSregs: (test, step) => {
		const sregs = vcpuOf(test).getSregs();
		overlay(sregs, new Fields(step.json["sregs"], "sregs"));
		return result(vcpuOf(test).setSregs(sregs));
	},
	getSregs: (test, step) => {
		const sregs = vcpuOf(test).getSregs() as unknown as Record<string, unknown>;
		const names = step.list("fields") as string[];
		return { expect: Object.fromEntries(names.map((name) => [name, toJson(sregs[name])])) };
	},
	readBacking: (test, step) => {
		const at = Number(step.hex("offset"));
		const length = Number(step.hex("length"));
		return { hex: toBytes(test.buffer(step.text("buffer")).view.slice(at, at + length)) };
	},
	diffBacking: (test, step) => {
		const { view, initial } = test.buffer(step.text("buffer"));
		const ranges: { offset: string; hex: string }[] = [];
		for (let at = 0; at < view.length; at++) {
			const start = at;
			while (at < view.length && view[at] !== initial[at]) at++;
			if (at > start) ranges.push({ offset: toHex(start), hex: toBytes(view.slice(start, at)) });
		}
		return { ranges };
	},
	hostWrite: (test, step) => {
		const bytes = step.bytes("hex");
		const { view, offset } = test.buffer(step.text("buffer"));
		const at = Number(step.hex("offset"));
		view.set(bytes, at);
		test.vm.written(offset + at, bytes.length);
		return {};
	},
	replacePage: (test, step) => {
		const address = test.buffer(step.text("buffer")).userspaceAddr + step.hex("offset");
		must(test.vm.replacePages(address, BigInt(PAGE)), "replacePages");
		return {};
	},
	hostProtect: (test, step) => {
		const address = test.buffer(step.text("buffer")).userspaceAddr + step.hex("offset");
		const access = step.text("access");
		if (access !== "none" && access !== "read" && access !== "readWrite") throw new FormatError(`access ${access}`);
		must(test.vm.hostProtect(address, step.hex("size"), access), "hostProtect");
		return {};
	},
	translate: (test, step) => {
		const { physicalAddress, valid, writeable, usermode } = vcpuOf(test).translate(step.hex("linear"));
		return { result: 0, physical: toHex(physicalAddress), valid, writeable, usermode };
	},
	immediateExit: (test, step) => {
		vcpuOf(test).immediateExit = step.number("value") !== 0;
		return {};
	},
	requestInterruptWindow: (test, step) => {
		vcpuOf(test).requestInterruptWindow = step.number("value") !== 0;
		return {};
	},
	readRunFlags: (test) => {
		const { readyForInterruptInjection, ifFlag } = vcpuOf(test);
		return { readyForInterruptInjection: Number(readyForInterruptInjection), ifFlag: Number(ifFlag) };
	},
	registerCoalesced: ({ vm }, step) => result(vm.registerCoalescedMmio(zone(step))),
	unregisterCoalesced: ({ vm }, step) => result(vm.unregisterCoalescedMmio(zone(step))),
	readCoalescedRing: ({ vm }, step) => {
		const ring = vm.coalescedRing;
		const { first, last } = ring;
		const entries: JsonObject[] = [];
		for (let n = first; n !== last; n = (n + 1) % COALESCED_MMIO_MAX) {
			const { addr, len, pio, data } = ring.entry(n);
			entries.push({ addr: toHex(addr), len, pio, data: toBytes(data) });
		}
		if (step.json["drain"] === true || step.json["drain"] === 1) ring.first = last;
		return { first, last, entries };
	},
	createEventfd: (test, step) => {
		test.eventfds.set(step.text("id"), new EventFd());
		return {};
	},
	ioeventfd: (test, step) => {
		const id = step.text("eventfd");
		const eventfd = test.eventfds.get(id);
		if (eventfd === undefined && id !== "bad") throw new FormatError(`no eventfd ${id}`);
		return result(
			test.vm.ioeventfd({
				eventfd,
				addr: step.hex("addr"),
				len: step.number("len"),
				datamatch: step.hex("datamatch", 0n),
				flags: step.list("flags", []).reduce<number>((flags, each) => (flags | ioeventfdFlag(each)) >>> 0, 0),
			}),
		);
	},
	readEventfd: (test, step) => ({ count: Number(test.eventfds.get(step.text("id"))?.read() ?? 0n) }),
	harvestDirtyRing: (test) => ({
		entries: (vcpuOf(test).dirtyRing?.harvest() ?? []).map(({ slot, offset }) => ({ slot, offset })),
	}),
	resetDirtyRings: ({ vm }) => result(vm.resetDirtyRings()),
	setMsr: (test, step) => result(vcpuOf(test).setMsrs([{ index: Number(step.hex("index")), data: step.hex("value") }])),
	interrupt: (test, step) => result(vcpuOf(test).interrupt(step.number("vector"))),
	setGuestDebug: (test, step) => result(vcpuOf(test).setGuestDebug({ control: Number(step.hex("control")) })),
	prefault: (test, step) => {
		const range = { gpa: step.hex("gpa"), size: step.hex("size"), flags: Number(step.hex("flags", 0n)) };
		const answer = vcpuOf(test).preFaultMemory(range);
		return { result: answer, left: { gpa: toHex(range.gpa), size: toHex(range.size) } };
	},
	createVcpu: (test, step) => {
		const vcpu = test.vm.createVcpu(step.number("id"));
		return result(typeof vcpu === "string" ? vcpu : 0);
	},
	rawIoctl: (test, step) => {
		const target = step.text("target");
		const request = Number(step.hex("request"));
		return result(target === "vcpu" ? vcpuOf(test).ioctl(request) : test.vm.ioctl(request));
	},
};

function must(answer: KvmResult, what: string): void {
	if (answer !== 0) throw new Error(`${what}: ${answer}`);
}

function zone(step: Fields): { addr: bigint; size: number; pio: number } {
	return { addr: step.hex("addr"), size: Number(step.hex("size")), pio: step.number("pio") };
}

function ioeventfdFlag(flag: Json): number {
	if (flag === "datamatch" || flag === "pio" || flag === "deassign") return IOEVENTFD[flag];
	const bit = numberOf(flag);
	if (bit === undefined) throw new FormatError(`ioeventfd flag ${String(flag)}`);
	return Number(bit);
}

function run(test: VmUnderTest, step: Fields): JsonObject {
	const vcpu = vcpuOf(test);
	const limitMs = step.number("limitMs", PATIENCE_MS);
	const answer = vcpu.run(step.has("arg") ? { arg: Number(step.hex("arg")), limitMs } : { limitMs });
	const rip = toHex(vcpu.getRegs().rip);
	if (answer !== 0 && answer !== "EFAULT") return { result: answer, rip };
	const exit = describeExit(vcpu);
	if (step.has("reply")) {
		const bytes = step.bytes("reply");
		if (vcpu.exit.reason === EXIT_REASON.io) vcpu.exit.portData.set(bytes);
		else vcpu.exit.data.set(bytes);
	}
	return { result: answer, exit, rip };
}

function describeExit({ exit }: Vcpu): JsonObject {
	switch (exit.reason) {
		case EXIT_REASON.mmio: {
			const { len, isWrite } = exit;
			const mmio = { reason: "mmio", physAddr: toHex(exit.physAddr), len, isWrite };
			return isWrite ? { ...mmio, data: toBytes(exit.data.slice(0, len)) } : mmio;
		}
		case EXIT_REASON.io: {
			const { size, port, count, direction } = exit;
			const io = { reason: "io", direction: direction === 1 ? "out" : "in", size, port, count };
			return direction === 1 ? { ...io, data: toBytes(exit.portData.slice(0, size * count)) } : io;
		}
		case EXIT_REASON.hlt:
			return { reason: "hlt" };
		case EXIT_REASON.shutdown:
			return { reason: "shutdown" };
		case EXIT_REASON.internalError:
			return { reason: "internalError", suberror: exit.suberror };
		case EXIT_REASON.debug:
			return { reason: "debug", exception: exit.exception, pc: toHex(exit.pc), dr6: toHex(exit.dr6) };
		case EXIT_REASON.dirtyRingFull:
			return { reason: "dirtyRingFull" };
		case EXIT_REASON.memoryFault:
			return { reason: "memoryFault", flags: exit.memoryFlags, gpa: toHex(exit.physAddr), size: toHex(exit.len) };
		case EXIT_REASON.irqWindowOpen:
			return { reason: "irqWindowOpen" };
		default:
			return { reason: `exit ${exit.reason}` };
	}
}

/** A register, segment or table as the format writes it. */
function toJson(value: unknown): Json {
	if (typeof value === "bigint") return toHex(value);
	if (typeof value === "number") return value;
	if (Array.isArray(value)) return value.map(toJson);
	if (typeof value === "object" && value !== null) {
		return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, toJson(each)]));
	}
	throw new FormatError("unknown register");
}
