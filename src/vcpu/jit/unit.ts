import { assert } from "../../base/errors.ts";
import type { Width } from "../../isa/expr.ts";
import { RAX, RDX } from "../../isa/registers.ts";
import { type Ex, i32, i64, type Local } from "../../wasm/expression.ts";
import { call, type FunctionBuilder, type Label } from "../../wasm/function.ts";
import type { ModuleBuilder } from "../../wasm/module.ts";
import { attentionWanted } from "../core/loop.ts";
import { emitInstruction } from "../emitter.ts";
import { ARITHMETIC_FLAGS, EXPLICIT_FLAGS } from "../flag-state.ts";
import { F, KEY, REC_SIZE, SEG, STATUS, segmentOffset } from "../layout.ts";
import { writeRecord } from "../predecode.ts";
import { regionOf } from "./code-place.ts";
import { analyseRegisters, type UnitRegisterUse } from "./dirty-registers.ts";
import type { UnitBlock, UnitInstruction } from "./discover.ts";
import { EntryTable } from "./entry-table.ts";
import { analyseFlags, type FlagKnowledge, flagsWantedBehind } from "./flag-knowledge.ts";
import { FlowPrinter } from "./flow-printer.ts";
import { structure } from "./structure.ts";
import { CompiledTarget } from "./target.ts";
import type { UnitFrame } from "./unit-frame.ts";
import type { UnitImports } from "./unit-imports.ts";
import { UnitRegisters } from "./unit-registers.ts";
import { SITE_BYTES, UnitSites } from "./unit-sites.ts";
import { UnitVariable } from "./unit-variable.ts";

/** What a unit returns to the run loop. */
export const UNIT_RESULT = {
	/** RIP is set: look up what is there. */
	go: 0,
	/** The next block wants to be interpreted: something missed, or the budget is low. */
	interpret: 1,
	/** The same, because of the TLB. */
	miss: 2,
	/** The pages that the unit was compiled from must be looked at again. */
	stale: 3,
	/** Like `miss`, for the last time that the unit bears it: it wants to be made with fills. */
	missesOften: 4,
} as const;

const CS = 1;

/** Helpers that continue elsewhere, often in the same mode and the same unit. */
const TRANSFERS: ReadonlySet<string> = new Set(["softInterrupt", "iret"]);

/** What a unit is compiled for and what it may take as constant. */
export interface UnitPlan {
	readonly blocks: ReadonlyMap<number, UnitBlock>;
	readonly key: number;
	/** Upper half of every IP in it, as a signed number: 0 outside 64-bit mode. */
	readonly region: number;
	/** CS, where it is not flat: checked on entry. */
	readonly csBase: number;
	readonly csHigh: number;
	readonly tlbArea: number;
	/** Address of a word that must equal F.generation on entry, or the pages must be confirmed; 0 where the code lies in one page. */
	readonly generationWord: number;
	/** Address and number of those pages ({@link CODE_PAGE}). */
	readonly pages: number;
	readonly pageCount: number;
	/** Takes `bytes` of zeroed VM memory for tables. */
	allocate(bytes: number): number;
	readonly words: Int32Array;
	/** Address of a word that counts down with every miss. */
	readonly missWord: number;
	/** What TLB entries have as their addend, where all of them are expected to have the same. */
	readonly addend: number | undefined;
	/** With `touch`, it fills the TLB without leaving; with `portRead` and `portWrite`, the host takes port accesses at once. */
	readonly imports: UnitImports;
}

export interface PrintedUnit {
	readonly f: FunctionBuilder;
	/** Number to pass as the entry for each IP that can be entered. */
	readonly entries: ReadonlyMap<number, number>;
}

/** Prints a unit: one function `(state, entry) → UNIT_RESULT` for a set of blocks. */
export class UnitPrinter {
	private readonly plan: UnitPlan;
	private readonly f: FunctionBuilder;
	private readonly long: boolean;
	private readonly st: Local;
	private readonly entry: Local;
	private readonly registers: UnitRegisters;
	private readonly registerUse: UnitRegisterUse;
	private readonly fa: UnitVariable;
	private readonly fb: UnitVariable;
	private readonly fk: Local;
	private readonly budget: Local;
	private readonly ip: Local;
	private readonly site: Local;
	private readonly numbers = new Map<number, number>();
	private readonly order: UnitBlock[];
	private readonly knowledge: readonly FlagKnowledge[];
	private readonly flow: FlowPrinter;
	private readonly sites: UnitSites;
	/** Numbers of the blocks that can be entered through the head, by IP. */
	private readonly entries: ReadonlyMap<number, number>;
	private readonly table: EntryTable;
	private head: Label | undefined;
	/** Knowing nothing of the flags but what is likely in this unit. */
	private readonly anything: FlagKnowledge;
	private leaveAtSite: Label | undefined;
	private leaveAtIp: Label | undefined;

	constructor(m: ModuleBuilder, name: string, plan: UnitPlan) {
		this.plan = plan;
		const f = m.func(name, ["i32", "i32"], ["i32"]);
		this.f = f;
		this.st = f.param(0);
		this.entry = f.param(1);
		this.long = (plan.key & KEY.long) !== 0;
		const type = this.long ? "i64" : "i32";
		this.fa = new UnitVariable(f, type);
		this.fb = new UnitVariable(f, type);
		this.fk = f.local("i32");
		this.budget = f.local("i32");
		this.ip = f.local(type);
		this.site = f.local("i32");
		this.order = [...plan.blocks.values()];
		this.flow = new FlowPrinter(f, this.entry, this.order.length, (id, next) => this.block(this.order[id]!, next));
		this.order.forEach((block, n) => {
			this.numbers.set(block.ip, n);
		});
		const successors = (block: UnitBlock): number[] => this.directSuccessors(block);
		this.registerUse = analyseRegisters(this.order, successors, (block) => this.portInPlace(block));
		this.registers = new UnitRegisters(f, this.long, this.registerUse.used);
		const { knowledge, anything } = analyseFlags(this.order, successors);
		this.knowledge = knowledge;
		this.anything = anything;
		this.entries = new Map(
			this.order.filter((block) => block.entry).map((block) => [block.ip, this.numbers.get(block.ip)!]),
		);
		this.table = new EntryTable({
			entries: this.entries,
			numbers: this.order.length,
			allocate: (bytes) => plan.allocate(bytes),
			words: plan.words,
			whole: (low) => this.wholeIp(low),
			constant: (value) => this.registers.constant(value),
		});
		// No more sites than this can come up: a few per instruction and block.
		const most = this.order.reduce((sum, block) => sum + block.instructions.length + 4, 4) * 2;
		this.sites = new UnitSites(plan.words, plan.allocate(most * SITE_BYTES), most);
	}

	print(): PrintedUnit {
		const { f, st, plan } = this;
		// The same memory may be seen at other addresses: this code is for these.
		f.returnIf(this.table.ipOf(this.entry).ne(F.rip.of(st).wrap()), UNIT_RESULT.interpret);
		if (plan.generationWord !== 0) {
			const generation = f.let(F.generation.of(st));
			f.if(i32(plan.generationWord).load("i32").ne(generation), () => {
				f.returnIf(call(plan.imports.get("confirmPages"), st, plan.pages, plan.pageCount).eqz(), UNIT_RESULT.stale);
				f.store("i32", i32(plan.generationWord), generation);
			});
			f.release(generation);
		}
		if (this.long) {
			f.returnIf(st.load("i32", F.rip.offset + 4).ne(plan.region), UNIT_RESULT.interpret);
		} else if ((plan.key & KEY.flat) === 0) {
			const at = segmentOffset(CS);
			f.returnIf(st.load("i32", at + SEG.base.offset).ne(plan.csBase), UNIT_RESULT.interpret);
			f.returnIf(st.load("i32", at + SEG.fetchHigh.offset).ne(plan.csHigh), UNIT_RESULT.interpret);
		}
		this.reload();
		f.block((atIp) => {
			this.leaveAtIp = atIp;
			f.block((atSite) => {
				this.leaveAtSite = atSite;
				f.loop((head) => {
					this.head = head;
					const flow = structure(
						this.order.map((block) => ({
							id: this.numbers.get(block.ip)!,
							next: this.directSuccessors(block),
							entry: block.entry,
						})),
					);
					this.flow.sequence(flow, new Set(this.entries.values()), undefined, new Set());
				});
				f.unreachable();
			});
			f.set(this.ip, this.wholeIp(this.sites.ip(this.site)));
		});
		F.rip.set(f, st, this.ip.extU());
		F.budget.set(f, st, this.budget.add(this.sites.notRun(this.site)));
		const kind = f.let(this.sites.flagKind(this.site));
		F.flagKind.set(f, st, kind.when(kind.geS(0), this.fk));
		this.storeFlagValues();
		this.registers.store(st, this.registerUse.written);
		const result = f.let(this.sites.result(this.site));
		f.if(result.eq(UNIT_RESULT.miss), () => {
			const left = f.let(i32(plan.missWord).load("i32").sub(1));
			f.store("i32", i32(plan.missWord), left);
			f.returnIf(left.eqz(), UNIT_RESULT.missesOften);
		});
		f.return(result);
		this.sites.write();
		return { f, entries: this.entries };
	}

	/** Blocks that a block branches to without going through the head. */
	private directSuccessors({ terminator }: UnitBlock): number[] {
		const ips =
			terminator.kind === "fall"
				? [terminator.next]
				: terminator.kind === "jump"
					? [terminator.target, ...(terminator.next === undefined ? [] : [terminator.next])]
					: terminator.kind === "handler" && terminator.continues
						? [terminator.next]
						: [];
		return ips.map((ip) => this.numbers.get(ip)).filter((n) => n !== undefined);
	}

	private leave(ip: number, notRun: number, known: FlagKnowledge, result: number): void {
		this.f.set(this.site, this.sites.add(ip, notRun, known, result));
		this.f.br(this.leaveAtSite!);
	}

	private block(block: UnitBlock, fallThrough: Label | undefined): void {
		const { f } = this;
		this.forget();
		const count = block.instructions.length;
		let known = this.knowledge[this.numbers.get(block.ip)!]!;
		if (count > 0) {
			f.if(this.budget.ltS(count), () => this.leave(block.ip, 0, known, UNIT_RESULT.interpret));
			f.set(this.budget, this.budget.sub(count));
		}
		let current: UnitInstruction | undefined;
		let index = 0;
		const frame: UnitFrame = {
			f,
			st: this.st,
			registers: this.registers,
			fa: this.fa,
			fb: this.fb,
			fk: this.fk,
			key: this.plan.key,
			csHigh: this.plan.csHigh,
			tlbArea: this.plan.tlbArea,
			// What was known before this instruction: it has not set any flags yet.
			leave: (missed) =>
				this.leave(current!.ip, count - index, known, missed ? UNIT_RESULT.miss : UNIT_RESULT.interpret),
			addend: this.plan.addend,
			imports: this.plan.imports,
			spellFlags: () => this.spellFlags(),
			branch: (target, when) => this.branch(block, target, when, compiled.flagsKnown, fallThrough),
		};
		const compiled: CompiledTarget = new CompiledTarget(frame, known);
		const { terminator } = block;
		for (const instruction of block.instructions) {
			if (terminator.kind === "handler" && index === count - 1) break;
			current = instruction;
			// No value but what is in the state's locals outlives an instruction.
			f.scope(() => {
				known = compiled.flagsKnown;
				const position = index;
				compiled.start(instruction, () => flagsWantedBehind(block.instructions, position));
				known = compiled.flagsKnown;
				emitInstruction(instruction.decoded.instance!, compiled, (loads, highs) => {
					compiled.loads = loads;
					compiled.highs = highs;
				});
			});
			index++;
		}
		if (terminator.kind === "handler") {
			const last = block.instructions.at(-1)!;
			if (this.portInPlace(block)) this.portAccess(last, compiled.flagsKnown, fallThrough);
			else this.callHandler(block, last, terminator, compiled.flagsKnown, fallThrough);
		} else if (terminator.kind === "fall") this.goTo(terminator.next, compiled.flagsKnown, fallThrough);
		else if (terminator.kind === "interpret") this.leaveToInterpret(terminator.ip, compiled.flagsKnown);
	}

	/** Code comes that may be reached from elsewhere. */
	private forget(): void {
		this.registers.forget();
		this.fa.forget();
		this.fb.forget();
	}

	/** Makes flags of whatever kind explicit ones. */
	private spellFlags(): void {
		const { f, st, plan } = this;
		this.storeFlagValues();
		F.flagKind.set(f, st, this.fk);
		this.fa.set(call(plan.imports.get("readFlags"), st).and(ARITHMETIC_FLAGS));
		f.set(this.fk, EXPLICIT_FLAGS);
	}

	private storeFlagValues(): void {
		const { f, st, registers } = this;
		f.store(registers.type, st, this.fa.whole, F.flagA.offset);
		f.store(registers.type, st, this.fb.whole, F.flagB.offset);
	}

	/** Writes back what the state may not have yet at the end of a block. */
	private spill(block: UnitBlock): void {
		this.registers.store(this.st, this.registerUse.dirty[this.numbers.get(block.ip)!]!);
		this.storeFlagValues();
	}

	private reload(): void {
		const { f, st, registers } = this;
		registers.load(st);
		f.set(this.fa.whole, st.load(registers.type, F.flagA.offset));
		f.set(this.fb.whole, st.load(registers.type, F.flagB.offset));
		this.forget();
		f.set(this.fk, F.flagKind.of(st));
		f.set(this.budget, F.budget.of(st));
	}

	/** The low half of an IP of this unit, made whole. */
	private wholeIp(low: Ex): Ex {
		return this.long ? low.extU().or(BigInt(this.plan.region) << 32n) : low;
	}

	/**
	 * An instruction that its handler in the core does. Everything is in the state meanwhile: no value lives across the
	 * call. Afterwards the unit goes on, or is left for good where the handler says so or somebody waits.
	 */
	private callHandler(
		block: UnitBlock,
		{ decoded, ip }: UnitInstruction,
		{ next, continues }: { next: number; continues: boolean },
		known: FlagKnowledge,
		fallThrough: Label | undefined,
	): void {
		const { f, st, plan } = this;
		const record = plan.allocate(REC_SIZE);
		writeRecord(plan.words, record >> 2, decoded, 0);
		const { helper } = decoded.instance!.meaning;
		const transfers = TRANSFERS.has(helper?.name ?? "");
		const generation = transfers ? f.let(F.generation.of(st)) : undefined;
		this.spill(block);
		F.flagKind.set(f, st, known.kind === "static" ? known.number : this.fk);
		F.budget.set(f, st, this.budget);
		F.blockIp.set(f, st, i64(BigInt(ip)));
		F.blockFirst.set(f, st, record);
		F.blockCount.set(f, st, 1);
		const status = f.let(call(plan.imports.handler(decoded.instance!), st, record));
		const leave = (): void => {
			f.if(status.eq(STATUS.branch), () => {
				if (generation) this.stay(generation);
				f.return(UNIT_RESULT.go);
			});
			f.if(status.eq(STATUS.stopHere), () => {
				F.rip.set(f, st, i64(BigInt(ip)));
				F.budget.set(f, st, F.budget.of(st).add(1));
				f.return(UNIT_RESULT.go);
			});
			F.rip.set(f, st, i64(BigInt(next)));
			f.return(UNIT_RESULT.go);
		};
		if (!continues) {
			leave();
			return;
		}
		f.if(status.or(F.pending.of(st)).or(F.shadow.of(st)), leave);
		f.release(status);
		this.reload();
		this.goTo(next, this.anything, fallThrough);
	}

	/** Goes on at F.rip behind a transfer by a handler, if that is in the unit and nothing that the unit relies on has changed. */
	private stay(generation: Local): void {
		const { f, st, plan } = this;
		let changed: Ex = attentionWanted(st, F.eflags.of(st))
			.or(F.modeKey.of(st).xor(plan.key))
			.or(F.generation.of(st).xor(generation))
			.or(F.fillable.of(st).eqz());
		if (!this.long && (plan.key & KEY.flat) === 0) {
			const at = segmentOffset(CS);
			changed = changed.or(st.load("i32", at + SEG.base.offset).xor(plan.csBase));
			changed = changed.or(st.load("i32", at + SEG.fetchHigh.offset).xor(plan.csHigh));
		}
		f.if(changed.eqz(), () => {
			f.set(this.ip, this.registers.typed(F.rip.of(st)));
			this.table.ifEntry(f, this.ip, this.entry, () => {
				this.reload();
				f.br(this.head!);
			});
		});
	}

	/** Whether the port access that ends a block is done without its handler. */
	private portInPlace({ instructions, terminator }: UnitBlock): boolean {
		if (terminator.kind !== "handler" || !this.plan.imports.has("portRead") || (this.plan.key & KEY.user) !== 0)
			return false;
		return ["in", "out"].includes(instructions.at(-1)!.decoded.instance?.meaning.helper?.name ?? "");
	}

	/** A port access that the host takes at once: registers stay where they are. Rights and breakpoints are left to the handler. */
	private portAccess(
		{ decoded, ip, next }: UnitInstruction,
		known: FlagKnowledge,
		fallThrough: Label | undefined,
	): void {
		const { f, st } = this;
		const { imports } = this.plan;
		const instance = decoded.instance!;
		const reads = instance.meaning.helper!.name === "in";
		const operand = instance.operands[reads ? 1 : 0]!;
		const bytes = instance.operands[reads ? 0 : 1]!.width / 8;
		const port = operand.kind === "immediate" ? i32(decoded.immediate) : this.registers.read(RDX, 16);
		f.if(F.cpl.of(st).or(F.breakControl.of(st).and(0xff)), () => this.leave(ip, 1, known, UNIT_RESULT.interpret));
		F.budget.set(f, st, this.budget);
		const width = (bytes * 8) as Width;
		if (reads) this.registers.write(RAX, width, false, call(imports.get("portRead"), st, port, bytes));
		else f.call(imports.get("portWrite"), st, port, bytes, this.registers.read(RAX, width));
		f.set(this.budget, F.budget.of(st));
		f.if(F.pending.of(st), () => this.leave(next, 0, known, UNIT_RESULT.go));
		this.goTo(next, known, fallThrough);
	}

	/** The end of a block with a jump. */
	private branch(
		{ terminator }: UnitBlock,
		target: Ex,
		when: Ex | undefined,
		known: FlagKnowledge,
		fallThrough: Label | undefined,
	): void {
		const { f } = this;
		if (terminator.kind === "jump") {
			if (!when) {
				this.goTo(terminator.target, known, fallThrough);
				return;
			}
			assert(terminator.next !== undefined, "a conditional jump falls through");
			this.goToIf(when, terminator.target, known);
			this.goTo(terminator.next, known, fallThrough);
			return;
		}
		if (terminator.kind === "call") {
			this.throughHead(terminator.target, known);
			return;
		}
		assert(terminator.kind === "indirect", "how a block ends");
		f.set(this.ip, target);
		this.table.ifEntry(f, this.ip, this.entry, () => {
			this.announce(known, true);
			f.br(this.head!);
		});
		this.leaveTo(known);
	}

	/** Leaves for the IP in `ip`. */
	private leaveTo(known: FlagKnowledge): void {
		this.f.set(this.site, this.sites.add(0, 0, known, UNIT_RESULT.go));
		this.f.br(this.leaveAtIp!);
	}

	/** Puts a kind that is only known here into `fk`, for a block that does not know it. */
	private announce(known: FlagKnowledge, wanted: boolean): void {
		if (wanted && known.kind === "static") this.f.set(this.fk, known.number);
	}

	/** Leaves for an IP that is not in the unit, maybe far away. */
	private leaveFor(ip: number, known: FlagKnowledge): void {
		if (regionOf(ip) === this.plan.region) {
			this.leave(ip, 0, known, UNIT_RESULT.go);
			return;
		}
		this.f.set(this.ip, this.registers.constant(ip));
		this.leaveTo(known);
	}

	/** Leaves for an IP whose code is the interpreter's; behind the last page of a region it lies in the next one. */
	private leaveToInterpret(ip: number, known: FlagKnowledge): void {
		if (regionOf(ip) === this.plan.region) this.leave(ip, 0, known, UNIT_RESULT.interpret);
		else this.leaveFor(ip, known);
	}

	/** Calls and entries: to a block by its number, through the head. */
	private throughHead(ip: number, known: FlagKnowledge): void {
		const number = this.numbers.get(ip);
		if (number === undefined) {
			this.leaveFor(ip, known);
			return;
		}
		this.f.set(this.entry, number);
		this.announce(known, true);
		this.f.br(this.head!);
	}

	private goTo(ip: number, known: FlagKnowledge, fallThrough: Label | undefined): void {
		const number = this.numbers.get(ip);
		if (number === undefined) {
			this.leaveFor(ip, known);
			return;
		}
		const target = this.flow.target(number);
		assert(target, "a block in reach");
		this.announce(known, this.knowledge[number]?.kind === "dynamic");
		if (target.dispatch) this.f.set(this.entry, number);
		if (target.label !== fallThrough || target.dispatch) this.f.br(target.label);
	}

	private goToIf(when: Ex, ip: number, known: FlagKnowledge): void {
		const number = this.numbers.get(ip);
		const target = number === undefined ? undefined : this.flow.target(number);
		const simple =
			target && !target.dispatch && !(known.kind === "static" && this.knowledge[number!]?.kind === "dynamic");
		if (simple) this.f.brIf(target.label, when);
		else this.f.if(when, () => this.goTo(ip, known, undefined));
	}
}
