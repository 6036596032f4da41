import { beforeEach, describe, expect, test } from "vitest";
import { ManualClock } from "../../src/bus/clock.ts";
import { LocalApic } from "../../src/devices/lapic.ts";
import { ApicBus } from "../../src/devices/lapic-bus.ts";
import { VectorSet } from "../../src/devices/lapic-vectors.ts";
import { Pic8259Pair } from "../../src/devices/pic8259-pair.ts";
import { deviceContract } from "../support/device-contract.ts";
import { RecordedLine } from "../support/lines.ts";

const [ID, VERSION, TPR, PPR, EOI, LDR, DFR, SVR] = [0x20, 0x30, 0x80, 0xa0, 0xb0, 0xd0, 0xe0, 0xf0] as const;
const [ISR, TMR, IRR, ESR, ICR, ICR_HIGH] = [0x100, 0x180, 0x200, 0x280, 0x300, 0x310] as const;
const [TIMER, THERMAL, LINT0, LINT1, ERROR] = [0x320, 0x330, 0x350, 0x360, 0x370] as const;
const [INITIAL, CURRENT, DIVIDE] = [0x380, 0x390, 0x3e0] as const;

/** Of apics whose time-stamp counter does not matter. */
const timeStamp = () => 0n;

class Processor {
	readonly interrupt = new RecordedLine();
	/** CR8. */
	priority = 0;
	readonly events: string[] = [];

	taskPriority(value: number): void {
		this.priority = value;
	}

	nmi(): void {
		this.events.push("nmi");
	}

	smi(): void {
		this.events.push("smi");
	}

	init(): void {
		this.events.push("init");
	}

	startup(vector: number): void {
		this.events.push(`startup ${vector}`);
	}
}

deviceContract(
	"lapic",
	() => {
		const clock = new ManualClock();
		const cpu = new Processor();
		const device = new LocalApic({ timeStamp, id: 0, bootstrap: true, clock, bus: new ApicBus(), cpu });
		return { device, clock, irqs: [cpu.interrupt] };
	},
	{ span: 0x400, offsets: Array.from({ length: 64 }, (_, i) => i * 16) },
);

describe("lapic", () => {
	let clock: ManualClock;
	let bus: ApicBus;
	let cpu: Processor;
	let apic: LocalApic;
	const get = (offset: number) => apic.read(offset);
	const set = (offset: number, value: number) => apic.write(offset, 4, value);
	const fixed = (vector: number, level = false) => bus.send({ vector, mode: 0, destination: 0, logical: false, level });

	beforeEach(() => {
		clock = new ManualClock();
		bus = new ApicBus();
		cpu = new Processor();
		apic = new LocalApic({ timeStamp, id: 0, bootstrap: true, clock, bus, cpu });
		set(SVR, 0x1ff);
	});

	test("registers after reset", () => {
		apic.reset();
		expect([ID, VERSION, TPR, PPR, LDR, DFR, SVR, ESR].map(get)).toEqual([0, 0x1050014, 0, 0, 0, 0xffffffff, 0xff, 0]);
		expect([TIMER, THERMAL, 0x340, LINT0, LINT1, ERROR].map(get)).toEqual([
			0x10000, 0x10000, 0x10000, 0x700, 0x10000, 0x10000,
		]);
		expect([INITIAL, CURRENT, DIVIDE].map(get)).toEqual([0, 0, 0]);
	});

	test("an application processor's LINT0 is masked after reset", () => {
		const other = new LocalApic({ timeStamp, id: 1, bootstrap: false, clock, bus, cpu });
		expect([other.read(LINT0), other.read(ID), other.base]).toEqual([0x10000, 0x01000000, 0xfee00800]);
		expect(apic.base).toBe(0xfee00900);
	});

	test("an interrupt goes from IRR to ISR to its end", () => {
		fixed(0x41);
		expect([get(IRR + 0x20), cpu.interrupt.asserted]).toEqual([2, true]);
		expect(apic.acknowledge()).toBe(0x41);
		expect([get(IRR + 0x20), get(ISR + 0x20), get(PPR), cpu.interrupt.asserted]).toEqual([0, 2, 0x40, false]);
		set(EOI, 0);
		expect([get(ISR + 0x20), get(PPR)]).toEqual([0, 0]);
	});

	test("a higher class nests, the same class waits", () => {
		fixed(0x41);
		apic.acknowledge();
		fixed(0x4f);
		expect(apic.hasInterrupt()).toBe(false);
		fixed(0x51);
		expect(apic.acknowledge()).toBe(0x51);
		set(EOI, 0);
		expect(apic.hasInterrupt()).toBe(false);
		set(EOI, 0);
		expect(apic.acknowledge()).toBe(0x4f);
	});

	test("the task priority holds back its class and below; CR8 is its upper half", () => {
		set(TPR, 0x45);
		fixed(0x4f);
		expect([apic.hasInterrupt(), get(PPR), apic.cr8]).toEqual([false, 0x45, 4]);
		apic.cr8 = 3;
		expect([apic.hasInterrupt(), get(TPR), cpu.interrupt.asserted]).toEqual([true, 0x30, true]);
	});

	test("an acknowledge with nothing pending gives the spurious vector and serves nothing", () => {
		expect(apic.acknowledge()).toBe(0xff);
		expect(Array.from({ length: 8 }, (_, i) => get(ISR + i * 16))).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
	});

	test("software-disabled: fixed interrupts are not taken, all LVT entries stay masked, NMI passes", () => {
		set(LINT1, 0x400);
		set(SVR, 0xff);
		fixed(0x41);
		set(TIMER, 0x50);
		expect([apic.hasInterrupt(), get(IRR + 0x20), get(TIMER), get(LINT0), get(LINT1)]).toEqual([
			false,
			0,
			0x10050,
			0x10700,
			0x10400,
		]);
		bus.send({ vector: 0, mode: 4, destination: 0, logical: false, level: false });
		expect(cpu.events).toEqual(["nmi"]);
	});

	test("level interrupts set TMR and broadcast their end; edges do not", () => {
		const ends: number[] = [];
		bus.listen({ endOfInterrupt: (vector) => ends.push(vector) });
		fixed(0x41, true);
		expect(get(TMR + 0x20)).toBe(2);
		apic.acknowledge();
		set(EOI, 0);
		fixed(0x41);
		apic.acknowledge();
		set(EOI, 0);
		expect([ends, get(TMR + 0x20)]).toEqual([[0x41], 0]);
	});

	test("reserved vectors are errors: received, sent, and by the error interrupt", () => {
		set(ERROR, 0xfe);
		fixed(0x0f);
		expect([get(ESR), apic.acknowledge()]).toEqual([0, 0xfe]);
		set(ICR, 0x40005);
		set(ESR, 0);
		expect(get(ESR)).toBe(0x60);
		set(ESR, 0);
		expect(get(ESR)).toBe(0);
	});

	test("an unknown register is an error; read-only ones ignore writes", () => {
		get(0x3f0);
		set(VERSION, 0);
		set(ESR, 0);
		expect([get(ESR), get(VERSION)]).toEqual([0x80, 0x1050014]);
	});

	test.each([
		[0x0b, 1],
		[0x00, 2],
		[0x01, 4],
		[0x02, 8],
		[0x03, 16],
		[0x08, 32],
		[0x09, 64],
		[0x0a, 128],
	])("timer divide %d counts one per %d ns", (divide, ns) => {
		set(DIVIDE, divide);
		set(INITIAL, 1000);
		clock.advance(100 * ns);
		expect(get(CURRENT)).toBe(900);
		clock.advance(ns - 1);
		expect(get(CURRENT)).toBe(900);
	});

	test("one-shot timer: one interrupt, then the count stays 0", () => {
		set(DIVIDE, 0x0b);
		set(TIMER, 0x40);
		set(INITIAL, 5000);
		clock.advance(4999);
		expect([apic.hasInterrupt(), get(CURRENT)]).toEqual([false, 1]);
		clock.advance(1);
		expect([apic.acknowledge(), get(CURRENT), get(INITIAL)]).toEqual([0x40, 0, 5000]);
		set(EOI, 0);
		clock.advance(1_000_000);
		expect(apic.hasInterrupt()).toBe(false);
	});

	test("periodic timer: an interrupt each period; initial count 0 stops it", () => {
		set(DIVIDE, 0x0b);
		set(TIMER, 0x20040);
		set(INITIAL, 5000);
		for (let i = 0; i < 5; i++) {
			clock.advance(5000);
			expect(apic.acknowledge()).toBe(0x40);
			set(EOI, 0);
		}
		clock.advance(1);
		expect(get(CURRENT)).toBe(4999);
		set(INITIAL, 0);
		clock.advance(100_000);
		expect([apic.hasInterrupt(), get(CURRENT)]).toEqual([false, 0]);
	});

	test("a masked timer counts but does not interrupt; unmasked, the next expiry does", () => {
		set(DIVIDE, 0x0b);
		set(TIMER, 0x30040);
		set(INITIAL, 5000);
		clock.advance(12_000);
		expect([apic.hasInterrupt(), get(CURRENT)]).toEqual([false, 3000]);
		set(TIMER, 0x20040);
		clock.advance(2999);
		expect(apic.hasInterrupt()).toBe(false);
		clock.advance(1);
		expect(apic.hasInterrupt()).toBe(true);
	});

	test("rewriting the timer's entry unchanged loses nothing", () => {
		set(DIVIDE, 0x0b);
		set(TIMER, 0x40);
		set(INITIAL, 5000);
		clock.advance(2500);
		set(TIMER, 0x41);
		clock.advance(2500);
		expect(apic.acknowledge()).toBe(0x41);
	});

	test("a new divisor goes on from the current count", () => {
		set(DIVIDE, 0x0b);
		set(TIMER, 0x40);
		set(INITIAL, 1000);
		clock.advance(400);
		set(DIVIDE, 0x00);
		expect(get(CURRENT)).toBe(600);
		clock.advance(1199);
		expect(apic.hasInterrupt()).toBe(false);
		clock.advance(1);
		expect(apic.hasInterrupt()).toBe(true);
	});

	test("a period of one nanosecond does not stop the machine", () => {
		set(DIVIDE, 0x0b);
		set(TIMER, 0x20040);
		set(INITIAL, 1);
		const rises = cpu.interrupt.rises;
		clock.advance(1_000_000);
		expect(apic.acknowledge()).toBe(0x40);
		expect(cpu.interrupt.rises - rises).toBe(1);
	});

	test("LINT1 as NMI, on rises", () => {
		set(LINT1, 0x400);
		apic.lint1.set(true);
		apic.lint1.set(true);
		apic.lint1.set(false);
		apic.lint1.set(true);
		expect(cpu.events).toEqual(["nmi", "nmi"]);
	});

	test("a level-triggered fixed LINT pin interrupts again after its end while it is high", () => {
		set(LINT1, 0x8050);
		apic.lint1.set(true);
		expect([apic.acknowledge(), get(LINT1)]).toEqual([0x50, 0xc050]);
		expect(apic.hasInterrupt()).toBe(false);
		set(EOI, 0);
		expect(apic.acknowledge()).toBe(0x50);
		apic.lint1.set(false);
		set(EOI, 0);
		expect([apic.hasInterrupt(), get(LINT1)]).toEqual([false, 0x8050]);
	});

	test("interprocessor interrupts: self, all, others, physical, logical flat and cluster", () => {
		const cpu1 = new Processor();
		const apic1 = new LocalApic({ timeStamp, id: 1, bootstrap: false, clock, bus, cpu: cpu1 });
		apic1.write(SVR, 4, 0x1ff);
		const taken = () =>
			[apic, apic1].map((each) => {
				const vector = each.hasInterrupt() ? each.acknowledge() : 0;
				each.write(EOI, 4, 0);
				return vector;
			});
		set(ICR, 0x40041);
		expect(taken()).toEqual([0x41, 0]);
		set(ICR, 0x80042);
		expect(taken()).toEqual([0x42, 0x42]);
		set(ICR, 0xc0043);
		expect(taken()).toEqual([0, 0x43]);
		set(ICR_HIGH, 0x01000000);
		set(ICR, 0x44);
		expect(taken()).toEqual([0, 0x44]);
		set(ICR_HIGH, 0xff000000);
		set(ICR, 0x45);
		expect(taken()).toEqual([0x45, 0x45]);
		set(LDR, 0x01000000);
		apic1.write(LDR, 4, 0x02000000);
		set(ICR_HIGH, 0x02000000);
		set(ICR, 0x846);
		expect(taken()).toEqual([0, 0x46]);
		for (const each of [apic, apic1]) each.write(DFR, 4, 0x0fffffff);
		set(LDR, 0x11000000);
		apic1.write(LDR, 4, 0x21000000);
		set(ICR_HIGH, 0x21000000);
		set(ICR, 0x847);
		expect(taken()).toEqual([0, 0x47]);
		set(TPR, 0x20);
		set(ICR_HIGH, 0xff000000);
		set(ICR, 0x150);
		expect(taken()).toEqual([0, 0x50]);
	});

	test("INIT and startup reach the processor; INIT resets its APIC but for the ID; de-assert does nothing", () => {
		const cpu1 = new Processor();
		const apic1 = new LocalApic({ timeStamp, id: 1, bootstrap: false, clock, bus, cpu: cpu1 });
		apic1.write(ID, 4, 0x07000000);
		apic1.write(SVR, 4, 0x1ff);
		set(ICR, 0xc4500);
		set(ICR, 0xc8500);
		set(ICR, 0xc4608);
		expect([cpu1.events, apic1.read(SVR), apic1.read(ID)]).toEqual([["init", "startup 8"], 0xff, 0x07000000]);
		expect(cpu.events).toEqual([]);
	});

	test("message-signalled interrupts, also as stores beyond the register page", () => {
		bus.messageSignalled(0xfee00000, 0x4061);
		expect(apic.acknowledge()).toBe(0x61);
		set(0x1000, 0x62);
		set(0xff000, 0x73);
		expect([apic.hasInterrupt(), get(0x1030)]).toEqual([true, 0]);
		expect(apic.acknowledge()).toBe(0x73);
	});

	test("IA32_APIC_BASE: moves, switches off, and back on as after reset", () => {
		const places: (number | undefined)[] = [];
		const other = new LocalApic({
			timeStamp,
			id: 2,
			bootstrap: false,
			clock,
			bus,
			cpu,
			moved: (at) => places.push(at),
		});
		other.base = 0xfed00800;
		other.write(SVR, 4, 0x1ff);
		other.write(ID, 4, 0x7000000);
		other.base = 0xfed00000;
		expect([places, other.address, other.matches(2, false)]).toEqual([[0xfed00000, undefined], undefined, false]);
		other.base = 0xfee00800;
		expect([other.read(SVR), other.read(ID)]).toEqual([0xff, 0x2000000]);
	});

	test("CR8 follows the task priority, which keeps it while the APIC is off", () => {
		set(TPR, 0x45);
		expect([cpu.priority, apic.cr8]).toEqual([4, 4]);
		apic.base = 0xfee00100;
		expect(cpu.priority).toBe(0);
		apic.cr8 = 9;
		expect([cpu.priority, apic.cr8]).toEqual([9, 9]);
	});

	test("a suppressed end is not broadcast", () => {
		const ends: number[] = [];
		bus.listen({ endOfInterrupt: (vector) => ends.push(vector) });
		set(SVR, 0x11ff);
		fixed(0x41, true);
		apic.acknowledge();
		set(EOI, 0);
		expect([ends, get(SVR), get(ISR + 0x20)]).toEqual([[], 0x11ff, 0]);
	});

	test("a timer's count goes on where it was from one mode to the other, and stays 0 once it has expired", () => {
		set(DIVIDE, 0x0b);
		set(TIMER, 0x40);
		set(INITIAL, 1000);
		clock.advance(600);
		set(TIMER, 0x20040);
		expect(get(CURRENT)).toBe(400);
		clock.advance(500);
		expect(get(CURRENT)).toBe(900);
		set(TIMER, 0x40);
		expect(get(CURRENT)).toBe(900);
		clock.advance(900);
		expect(get(CURRENT)).toBe(0);
		set(TIMER, 0x20040);
		clock.advance(10_000);
		expect(get(CURRENT)).toBe(0);
	});
});

describe("lapic timer with a TSC deadline", () => {
	let clock: ManualClock;
	let cpu: Processor;
	let apic: LocalApic;
	/** What the guest has added to its time-stamp counter. */
	let offset: bigint;
	const set = (register: number, value: number) => apic.write(register, 4, value);

	beforeEach(() => {
		clock = new ManualClock();
		cpu = new Processor();
		offset = 1_000_000n;
		const now = () => BigInt(clock.now()) + offset;
		apic = new LocalApic({ timeStamp: now, id: 0, bootstrap: true, clock, bus: new ApicBus(), cpu });
		set(SVR, 0x1ff);
		set(TIMER, 0x40040);
	});

	test("expires when the counter gets there, once, and reads 0 from then on", () => {
		apic.deadline = 1_005_000n;
		clock.advance(4999);
		expect([apic.hasInterrupt(), apic.deadline]).toEqual([false, 1_005_000n]);
		clock.advance(1);
		expect([apic.hasInterrupt(), apic.deadline]).toEqual([true, 0n]);
		apic.acknowledge();
		set(EOI, 0);
		clock.advance(1_000_000);
		expect(apic.hasInterrupt()).toBe(false);
	});

	test("a deadline that has passed expires at once; 0 disarms", () => {
		apic.deadline = 999_999n;
		expect([apic.acknowledge(), apic.deadline]).toEqual([0x40, 0n]);
		set(EOI, 0);
		apic.deadline = 1_000_100n;
		apic.deadline = 0n;
		clock.advance(1000);
		expect(apic.hasInterrupt()).toBe(false);
	});

	test("masked, it expires without an interrupt", () => {
		set(TIMER, 0x50040);
		apic.deadline = 1_000_100n;
		clock.advance(200);
		expect([apic.hasInterrupt(), apic.deadline]).toEqual([false, 0n]);
	});

	test("a counter that is set moves the expiry", () => {
		apic.deadline = 1_005_000n;
		offset = 0n;
		apic.timeStampSet();
		clock.advance(10_000);
		expect(apic.hasInterrupt()).toBe(false);
		offset = 2_000_000n;
		apic.timeStampSet();
		expect(apic.hasInterrupt()).toBe(true);
	});

	test("the initial count is dead in this mode, the deadline in others, and a change of mode disarms", () => {
		set(INITIAL, 100);
		expect(apic.read(INITIAL)).toBe(0);
		apic.deadline = 1_005_000n;
		set(TIMER, 0x40);
		expect(apic.deadline).toBe(0n);
		apic.deadline = 1_005_000n;
		expect(apic.deadline).toBe(0n);
		set(INITIAL, 100);
		set(TIMER, 0x40040);
		expect([apic.read(INITIAL), apic.read(CURRENT)]).toEqual([0, 0]);
		clock.advance(10_000);
		expect(apic.hasInterrupt()).toBe(false);
	});
});

describe("lapic in x2APIC mode", () => {
	let bus: ApicBus;
	let cpu: Processor;
	let apic: LocalApic;
	const rdmsr = (offset: number) => apic.readMsr(0x800 + (offset >> 4));
	const wrmsr = (offset: number, value: bigint) => apic.writeMsr(0x800 + (offset >> 4), value);
	const SELF_IPI = 0x3f0;

	beforeEach(() => {
		bus = new ApicBus();
		cpu = new Processor();
		apic = new LocalApic({ timeStamp, id: 0x23, bootstrap: true, clock: new ManualClock(), bus, cpu });
		apic.write(SVR, 4, 0x1ff);
		apic.base = 0xfee00d00;
	});

	test("its registers are there in this mode only, and their page is not", () => {
		expect([apic.address, rdmsr(SVR)]).toEqual([undefined, 0x1ffn]);
		apic.base = 0xfee00100;
		apic.base = 0xfee00900;
		expect([apic.address, rdmsr(SVR), wrmsr(SVR, 0x1ffn)]).toEqual([0xfee00000, undefined, false]);
	});

	test("the ID has 32 bits and cannot be written; the logical ID follows from it", () => {
		expect([rdmsr(ID), rdmsr(LDR), wrmsr(ID, 0n), wrmsr(LDR, 0n)]).toEqual([0x23n, 0x20008n, false, false]);
	});

	test("reads and writes fault where a register is for neither", () => {
		const readable = [0x20, 0x30, 0x80, 0xa0, 0xd0, 0xf0, 0x280, 0x300, 0x380, 0x390, 0x3e0];
		const vectors = Array.from({ length: 24 }, (_, i) => 0x100 + 16 * i);
		const entries = Array.from({ length: 6 }, (_, i) => 0x320 + 16 * i);
		const all = Array.from({ length: 256 }, (_, i) => 16 * i);
		const expected = [...readable, ...vectors, ...entries].sort((a, b) => a - b);
		expect(all.filter((offset) => rdmsr(offset) !== undefined)).toEqual(expected);
		const writable = [0x80, 0xb0, 0xf0, 0x280, 0x300, ...entries, 0x380, 0x3e0, 0x3f0];
		expect(all.filter((offset) => wrmsr(offset, 0n))).toEqual(writable);
		expect(all.filter((offset) => wrmsr(offset, -1n & 0xffff_ffff_ffff_ffffn))).toEqual([]);
	});

	test("reserved bits fault", () => {
		for (const [offset, value] of [
			[TPR, 0x100n],
			[EOI, 1n],
			[ESR, 1n],
			[SVR, 0x400n],
			[TIMER, 0x100000n],
			[DIVIDE, 4n],
			[SELF_IPI, 0x100n],
			[ICR, 0x2000n],
			[TPR, 0x1_0000_0000n],
		] as const) {
			expect([offset, wrmsr(offset, value)]).toEqual([offset, false]);
		}
	});

	test("one write of the command register sends, to 32 bits of destination; so does the self register", () => {
		const other = new Processor();
		const apic1 = new LocalApic({ timeStamp, id: 0x123, bootstrap: false, clock: new ManualClock(), bus, cpu: other });
		apic1.base = 0xfee00c00;
		apic1.writeMsr(0x80f, 0x1ffn);
		const taken = () =>
			[apic, apic1].map((each) => {
				const vector = each.hasInterrupt() ? each.acknowledge() : 0;
				each.writeMsr(0x80b, 0n);
				return vector;
			});
		wrmsr(ICR, 0x123_0000_0041n);
		expect([taken(), rdmsr(ICR)]).toEqual([[0, 0x41], 0x123_0000_0041n]);
		wrmsr(ICR, 0xffff_ffff_0000_0042n);
		expect(taken()).toEqual([0x42, 0x42]);
		wrmsr(ICR, 0xff_0000_0043n);
		expect(taken()).toEqual([0, 0]);
		wrmsr(ICR, 0x12000a_0000_0844n);
		expect(taken()).toEqual([0, 0x44]);
		wrmsr(SELF_IPI, 0x45n);
		expect(taken()).toEqual([0x45, 0]);
	});

	test("devices reach it by eight bits of destination", () => {
		bus.messageSignalled(0xfee23000, 0x41);
		expect(apic.acknowledge()).toBe(0x41);
		wrmsr(EOI, 0n);
		bus.messageSignalled(0xfeeff000, 0x42);
		expect(apic.acknowledge()).toBe(0x42);
	});
});

describe("lapic with the 8259 pair on LINT0", () => {
	function create() {
		const bus = new ApicBus();
		const cpu = new Processor();
		let apic: LocalApic | undefined;
		const pic = new Pic8259Pair({ set: (high) => apic?.lint0.set(high) });
		apic = new LocalApic({ timeStamp, id: 0, bootstrap: true, clock: new ManualClock(), bus, cpu, pic });
		for (const [offset, value] of [
			[0, 0x11],
			[1, 0x20],
			[1, 0x04],
			[1, 0x01],
		] as const) {
			pic.write(offset, 1, value);
		}
		return { apic, pic, cpu };
	}

	test("after reset its interrupts pass", () => {
		const { apic, pic, cpu } = create();
		pic.setLine(4, true);
		expect([cpu.interrupt.asserted, apic.acknowledge(), cpu.interrupt.asserted]).toEqual([true, 0x24, false]);
	});

	test("LINT0 masked or in another mode holds them; with the APIC off they pass again", () => {
		const { apic, pic, cpu } = create();
		apic.write(SVR, 4, 0x1ff);
		apic.write(LINT0, 4, 0x10700);
		pic.setLine(4, true);
		expect(cpu.interrupt.asserted).toBe(false);
		apic.write(LINT0, 4, 0x00700);
		expect(cpu.interrupt.asserted).toBe(true);
		apic.write(LINT0, 4, 0x10700);
		apic.base = 0xfee00100;
		expect([cpu.interrupt.asserted, apic.acknowledge()]).toEqual([true, 0x24]);
	});

	test("they come before the APIC's own and regardless of priority", () => {
		const { apic, pic } = create();
		apic.write(SVR, 4, 0x1ff);
		apic.write(LINT0, 4, 0x700);
		apic.write(ICR, 4, 0x400f1);
		pic.setLine(4, true);
		expect([apic.acknowledge(), apic.acknowledge()]).toEqual([0x24, 0xf1]);
		pic.write(0, 1, 0x20);
		pic.setLine(4, false);
		pic.setLine(4, true);
		expect(apic.acknowledge()).toBe(0x24);
	});

	test("in fixed mode LINT0 gives its own vector", () => {
		const { apic, pic } = create();
		apic.write(SVR, 4, 0x1ff);
		apic.write(LINT0, 4, 0x77);
		pic.setLine(4, true);
		expect(apic.acknowledge()).toBe(0x77);
	});
});

test("a vector set finds its highest member", () => {
	const set = new VectorSet();
	expect(set.highest()).toBe(-1);
	for (const vector of [0, 31, 32, 63, 200, 255]) {
		set.add(vector);
		expect([set.highest(), set.has(vector)]).toEqual([vector, true]);
	}
	set.delete(255);
	expect([set.highest(), set.has(255), set.word(1)]).toEqual([200, false, 0x80000001]);
});
