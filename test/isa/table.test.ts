import { describe, expect, it } from "vitest";
import { Decoder } from "../../src/isa/decoder.ts";
import { family } from "../../src/isa/family.ts";
import { instructionTable } from "../../src/isa/index.ts";
import { opcodeMap } from "../../src/isa/opcode-map.ts";
import { InstructionTable } from "../../src/isa/table.ts";

const nothing = (): void => {};

describe("the instruction table", () => {
	it("is the opcode map in the golden file", async () => {
		await expect(opcodeMap(instructionTable())).toMatchFileSnapshot("../golden/opcode-map.txt");
	});

	it("gives every form a meaning at every size", () => {
		const { instances } = instructionTable();
		expect(instances.length).toBeGreaterThan(900);
		for (const { meaning } of instances) expect(meaning.loads.length).toBeGreaterThanOrEqual(0);
	});

	it("calls each helper with the same arguments everywhere", () => {
		const shapes = new Map<string, Set<string>>();
		for (const { meaning } of instructionTable().instances) {
			if (!meaning.helper) continue;
			const { name, args } = meaning.helper;
			shapes.set(name, (shapes.get(name) ?? new Set()).add(args.map((arg) => `i${arg.width}`).join(" ")));
		}
		const lines = [...shapes].map(([name, widths]) => `${name}(${[...widths].join(" | ")})`).sort();
		expect(`${lines.join("\n")}\n`).toMatchInlineSnapshot(`
			"cacheFlush()
			callFar(i32 i64 i32)
			callFarThrough(i32 i64 i32)
			clearVectors(i32)
			cli()
			clts()
			compareExchange16(i32 i64)
			cpuid()
			crc32(i32 i64 i32)
			divide(i64 i32)
			emms()
			enter(i32 i32 i32)
			fpuAtan()
			fpuClearExceptions()
			fpuCompare(i32 i32 i32)
			fpuCompareFlags(i32 i32 i32)
			fpuCompareMemory(i64 i32 i32 i64)
			fpuConstant(i32)
			fpuCos()
			fpuExamine()
			fpuExchange(i32)
			fpuExp()
			fpuExtract()
			fpuFree(i32 i32)
			fpuInitialize()
			fpuLoad(i64 i32 i64)
			fpuLoadControl(i32)
			fpuLoadDecimal(i64)
			fpuLoadEnvironment(i64 i32 i32)
			fpuLoadExtended(i64)
			fpuLoadRegister(i32)
			fpuLog()
			fpuLogPlusOne()
			fpuMoveIf(i32 i32)
			fpuNothing()
			fpuOperate(i32 i32 i32 i32)
			fpuOperateMemory(i64 i32 i32 i64)
			fpuRemainder(i32)
			fpuRoot()
			fpuRoundInteger()
			fpuScale()
			fpuSign(i32 i32)
			fpuSin()
			fpuSinCos()
			fpuStatusToAx()
			fpuStore(i64 i32 i32 i32)
			fpuStoreControl(i64)
			fpuStoreDecimal(i64)
			fpuStoreEnvironment(i64 i32 i32)
			fpuStoreExtended(i64)
			fpuStoreRegister(i32 i32)
			fpuStoreStatus(i64)
			fpuTan()
			fpuTest()
			fpuTurn(i32)
			fpuWaitHere()
			fxrstor(i64 i32 i32)
			fxsave(i64 i32 i32)
			gather(i32 i64 i32 i32 i32)
			hlt()
			in(i32 i32)
			invlpg(i32 i64)
			invpcid(i32 i64 i64)
			iret(i32)
			jumpFar(i32 i64 i32)
			jumpFarThrough(i32 i64 i32)
			lar(i32 i32 i32)
			ldmxcsr(i32)
			lldt(i32)
			lmsw(i32)
			loadFarPointer(i32 i32 i32 i64 i32)
			loadSegment(i32 i32)
			loadTable(i32 i32 i64 i32)
			lsl(i32 i32 i32)
			ltr(i32)
			maskedLoad(i32 i64 i128 i128 i32 i32)
			maskedStore(i32 i64 i128 i128 i128 i128 i32 i32)
			out(i32 i32)
			pdep(i32 i64 i64 i32)
			pext(i32 i64 i64 i32)
			popAll(i32)
			popFlags(i32)
			popSegment(i32 i32)
			pushAll(i32)
			pushFlags(i32)
			random(i32 i32)
			rdmsr()
			rdpid(i32)
			rdpkru()
			rdpmc()
			rdtsc()
			rdtscp()
			readBase(i32 i32 i32)
			readControl(i32 i32)
			readDebug(i32 i32)
			returnFar(i32 i32)
			setAlignmentCheck(i32)
			setDirection(i32)
			softInterrupt(i32 i32)
			sti()
			storeTable(i32 i32 i64 i32)
			string(i32 i32 i32 i32 i32)
			swapgs()
			syscall()
			sysenter()
			sysexit(i32)
			sysret(i32)
			verify(i32 i32)
			writeBase(i32 i64)
			writeControl(i32 i32)
			writeDebug(i32 i32)
			wrmsr()
			wrpkru()
			xgetbv()
			xrstor(i64 i32 i32)
			xsave(i64 i32 i32)
			xsetbv()
			"
		`);
	});

	it("lets LOCK through only where a family has it and memory is written", () => {
		const decoder = new Decoder(instructionTable());
		const status = (code: string) => decoder.decode(Buffer.from(code, "hex"), 0, code.length / 2, 32).status;
		expect(["f00003", "f0f00003", "f08703", "f00fc70b", "f00fba2b01"].map(status)).toEqual(Array(5).fill("ok"));
		expect(["f000c3", "f00203", "f03803", "f08903", "f090", "f00fba2301"].map(status)).toEqual(
			Array(6).fill("undefined"),
		);
	});

	it("decodes no instruction whose feature is missing, and shows what was there before it", () => {
		const all = new Decoder(instructionTable());
		const none = new Decoder(instructionTable(), new Set());
		const name = (decoder: Decoder, code: string, bits: 32 | 64 = 32): string | undefined =>
			decoder.decode(Buffer.from(code, "hex"), 0, code.length / 2, bits).form?.family.name;
		expect(["f30fbdc1", "f30fbcc1", "f30fb8c1", "0f38f003"].map((code) => name(all, code))).toEqual([
			"LZCNT",
			"TZCNT",
			"POPCNT",
			"MOVBE",
		]);
		expect(["f30fbdc1", "f30fbcc1", "f30fb8c1", "0f38f003"].map((code) => name(none, code))).toEqual([
			"BSR",
			"BSF",
			undefined,
			undefined,
		]);
		expect([name(none, "9f"), name(none, "9f", 64), name(all, "9f", 64)]).toEqual(["LAHF", undefined, "LAHF"]);
	});

	it("takes 90 for NOP, with REX.B for XCHG and with F3 for PAUSE", () => {
		const decoder = new Decoder(instructionTable());
		const name = (code: string): string | undefined =>
			decoder.decode(Buffer.from(code, "hex"), 0, code.length / 2, 64).form?.family.name;
		expect(["90", "4890", "4190", "4990", "f390", "f34190"].map(name)).toEqual([
			"NOP",
			"NOP",
			"XCHG",
			"XCHG",
			"PAUSE",
			"PAUSE",
		]);
	});

	it("takes at most 15 bytes for an instruction, prefixes included", () => {
		const decoder = new Decoder(instructionTable());
		const decode = (code: string) => decoder.decode(Buffer.from(code, "hex"), 0, code.length / 2, 32);
		expect(decode(`${"3e".repeat(14)}90`)).toMatchObject({ status: "ok", length: 15 });
		expect(decode(`${"3e".repeat(15)}90`)).toMatchObject({ status: "tooLong", length: 15 });
		expect(decode("3e".repeat(14))).toMatchObject({ status: "truncated", length: 14 });
	});
});

describe("a wrong declaration is refused:", () => {
	const build =
		(...forms: [string, string][]) =>
		() =>
			new InstructionTable([() => [family("X", "A test", { forms, meaning: nothing })]], [32]).opcodes(false).map(0);

	it("two forms for one encoding", () => {
		expect(build(["80 /0", "Eb"], ["80 /r", "Eb"])).toThrow("claimed by X 80 /0");
	});

	it("an opcode with and without ModRM", () => {
		expect(build(["80 /0", "Eb"], ["80", ""])).toThrow("ModRM or not");
	});

	it("operands that the encoding has no room for", () => {
		expect(build(["80", "Eb"])).toThrow("operand needs ModRM");
		expect(build(["80 /0", "Gb"])).toThrow("operand needs /r");
		expect(build(["40", "Zv"])).toThrow("operand needs +r");
	});

	it("text that is no encoding or operand", () => {
		expect(build(["8 /0", "Eb"])).toThrow('opcode in "8 /0"');
		expect(build(["80 /8", "Eb"])).toThrow('"/8" in "80 /8"');
		expect(build(["80 /0", "Kb"])).toThrow("unknown operand code Kb");
	});
});
