import { describe, expect, it } from "vitest";
import { Decoder } from "../../src/isa/decoder.ts";
import { type EvaluatorState, evaluate, type Outcome } from "../../src/isa/evaluate.ts";
import { instructionTable } from "../../src/isa/index.ts";
import { GPR, SEGMENT, VECTOR } from "../../src/isa/registers.ts";

const FLAGS = { C: 0, P: 2, A: 4, Z: 6, S: 7, O: 11 } as const;

/** Processor and memory of one test: 64 KiB, the same for every segment. */
class Subject implements EvaluatorState {
	readonly registers: bigint[] = new Array(16).fill(0n);
	flags = 0;
	ip = 0x100n;
	readonly selectors = [0xe5, 0xc5, 0x55, 0xd5, 0xf5, 0x65];
	readonly stackSize: 16 | 32;
	readonly memory = new Uint8Array(0x10000);
	readonly stores: string[] = [];

	constructor(stackSize: 16 | 32) {
		this.stackSize = stackSize;
	}
	state(): bigint {
		return 0x8005_0033n;
	}
	load(_segment: number, offset: bigint, bytes: number): bigint {
		let value = 0n;
		for (let n = bytes - 1; n >= 0; n--) value = (value << 8n) | BigInt(this.memory[Number(offset) + n]!);
		return value;
	}
	store(segment: number, offset: bigint, bytes: number, value: bigint): void {
		const name = Object.keys(SEGMENT)[segment];
		this.stores.push(`${name}:${offset.toString(16)}=${value.toString(16).padStart(bytes * 2, "0")}`);
	}
}

interface Setup {
	readonly bits?: 16 | 32;
	readonly stack?: 16 | 32;
	/** `eax=12 cl=5 flags=CZ [100]=78563412`, all hexadecimal. */
	readonly before?: string;
}

const BYTES = ["al", "cl", "dl", "bl", "ah", "ch", "dh", "bh"];

function registerOf(name: string): { register: number; width: number; shift: number } {
	const byte = BYTES.indexOf(name);
	if (byte >= 0) return { register: byte & 3, width: 8, shift: byte & 4 ? 8 : 0 };
	const width = name.length === 2 ? 16 : name[0] === "r" ? 64 : 32;
	return { register: GPR.findIndex((full) => full.endsWith(name.slice(-2))), width, shift: 0 };
}

function setUp(subject: Subject, before: string): void {
	for (const word of before.split(" ").filter(Boolean)) {
		const [name = "", text = ""] = word.split("=");
		if (name === "flags") for (const letter of text) subject.flags |= 1 << FLAGS[letter as keyof typeof FLAGS];
		else if (name.startsWith("[")) subject.memory.set(Buffer.from(text, "hex"), Number.parseInt(name.slice(1), 16));
		else {
			const { register, width, shift } = registerOf(name);
			const mask = ((1n << BigInt(width)) - 1n) << BigInt(shift);
			const value = BigInt(`0x${text}`) << BigInt(shift);
			subject.registers[register] = (subject.registers[register]! & ~mask) | value;
		}
	}
}

/** Runs the instruction in `code` and says what there is then, in the words of `Setup.before`, as far as `ask` names it. */
function run(code: string, { bits = 32, stack = bits, before = "" }: Setup = {}) {
	const subject = new Subject(stack);
	setUp(subject, before);
	const bytes = Buffer.from(code.replaceAll(" ", ""), "hex");
	const decoded = new Decoder(instructionTable()).decode(bytes, 0, bytes.length, bits);
	expect(decoded.status).toBe("ok");
	expect(decoded.length).toBe(bytes.length);
	const outcome: Outcome = evaluate(decoded, subject);
	const read = (name: string): string => {
		if (name === "ip") return subject.ip.toString(16);
		if (name === "flags")
			return Object.entries(FLAGS)
				.filter(([, bit]) => subject.flags & (1 << bit))
				.map(([letter]) => letter)
				.join("");
		const { register, width, shift } = registerOf(name);
		return BigInt.asUintN(width, subject.registers[register]! >> BigInt(shift)).toString(16);
	};
	const after = (names: string): string =>
		names
			.split(" ")
			.map((name) => `${name}=${read(name)}`)
			.join(" ");
	return { outcome, after, stores: subject.stores };
}

describe("registers", () => {
	it("a 32-bit write clears the upper half, narrower ones keep it", () => {
		const before = "rax=1111222233334444 rbx=5";
		expect(run("89 d8", { before }).after("rax")).toBe("rax=5");
		expect(run("66 89 d8", { before }).after("rax")).toBe("rax=1111222233330005");
		expect(run("88 dc", { before }).after("rax")).toBe("rax=1111222233330544");
	});

	it("XADD of a register to itself leaves the sum", () => {
		expect(run("0f c1 c0", { before: "eax=7" }).after("eax")).toBe("eax=e");
	});

	it("CMPXCHG with the accumulator as destination takes the source", () => {
		expect(run("0f b1 d8", { before: "eax=7 ebx=9" }).after("eax flags")).toBe("eax=9 flags=PZ");
	});

	it("BSWAP of 16 bits gives 0, as Intel's processors do", () => {
		expect(run("66 0f c8", { before: "eax=12345678" }).after("eax")).toBe("eax=12340000");
	});

	it("BSF of 0 keeps its destination", () => {
		expect(run("0f bc d8", { before: "ebx=77" }).after("ebx flags")).toBe("ebx=77 flags=PZ");
	});
});

describe("shifts", () => {
	it.each([
		["d3 e0", "eax=80000001 cl=1", "eax=2 flags=CO"],
		["d3 e0", "eax=80000001 cl=20 flags=PAZ", "eax=80000001 flags=PAZ"],
		["d3 f8", "eax=80000000 cl=1f", "eax=ffffffff flags=PS"],
		["c0 e0 08", "eax=101", "eax=100 flags=CPZO"],
		["d2 d0", "eax=81 cl=9 flags=C", "eax=81 flags=C"],
		["66 d3 d8", "eax=8001 cl=11", "eax=8001 flags=O"],
		["66 0f a4 d8 14", "eax=1234 ebx=5678", "eax=6781"],
		["66 0f ac d8 14", "eax=1234 ebx=5678", "eax=4567"],
	])("%s with %s: %s", (code, before, expected) => {
		const names = expected.split(" ").map((word) => word.split("=")[0]);
		expect(run(code, { before }).after(names.join(" "))).toBe(expected);
	});
});

describe("division", () => {
	it.each([
		["f6 f1", "ax=4ff cl=5", "al=ff ah=4"],
		["f7 f9", "edx=ffffffff eax=fffffff9 ecx=2", "eax=fffffffd edx=ffffffff"],
		["d4 0a", "al=63", "al=9 ah=9"],
	])("%s with %s: %s", (code, before, expected) => {
		const names = expected.split(" ").map((word) => word.split("=")[0]);
		expect(run(code, { before }).after(names.join(" "))).toBe(expected);
	});

	it.each([
		["f6 f1", "ax=5ff cl=5"],
		["f7 f1", "edx=1 eax=0 ecx=1"],
		["f7 f1", "eax=7"],
		["f7 f9", "edx=80000000 eax=0 ecx=ffffffff"],
		["f6 f9", "ax=8000 cl=ff"],
		["66 f7 f9", "dx=ffff ax=8000 cx=ffff"],
		["d4 00", "al=63"],
	])("%s with %s: #DE", (code, before) => {
		expect(run(code, { before }).outcome).toEqual({ kind: "fault", vector: VECTOR.DE, errorCode: undefined });
	});
});

describe("addresses", () => {
	it("a bit offset in a register is signed and moves the address by operands", () => {
		const set = run("0f ab 03", { before: "ebx=100 eax=ffffffff [fc]=00000000" });
		expect(set.stores).toEqual(["ds:fc=80000000"]);
		expect(run("66 0f a3 03", { before: "ebx=100 eax=fff0 [fe]=0100" }).after("flags")).toBe("flags=C");
	});

	it("a bit offset given as an immediate stays within the operand", () => {
		expect(run("0f ba 2b ff", { before: "ebx=100" }).stores).toEqual(["ds:100=80000000"]);
	});

	it("a 16-bit address wraps at 64 KiB, for a moved bit operand too", () => {
		expect(run("0f ab 07", { bits: 16, before: "bx=fffe ax=20" }).stores).toEqual(["ds:2=0001"]);
	});

	it("XLAT adds AL without sign, within the address size", () => {
		expect(run("d7", { before: "ebx=100 al=ff [1ff]=5a" }).after("al")).toBe("al=5a");
		expect(run("67 d7", { before: "ebx=1ffff al=3 [2]=5a" }).after("al")).toBe("al=5a");
	});

	it("LEA takes the offset at the address size, to the operand size", () => {
		expect(run("67 8d 40 01", { before: "bx=fff0 si=20" }).after("eax")).toBe("eax=11");
		expect(run("66 8d 43 01", { before: "eax=55550000 ebx=12345678" }).after("eax")).toBe("eax=55555679");
	});
});

describe("the stack", () => {
	it("PUSH ESP stores the value from before, POP ESP loads the popped one", () => {
		expect(run("54", { before: "esp=200" })).toMatchObject({ stores: ["ss:1fc=00000200"] });
		expect(run("5c", { before: "esp=200 [200]=78563412" }).after("esp")).toBe("esp=12345678");
	});

	it("POP to an address by ESP uses the moved stack pointer", () => {
		const popped = run("8f 04 24", { before: "esp=200 [200]=78563412" });
		expect([popped.after("esp"), ...popped.stores]).toEqual(["esp=204", "ss:204=12345678"]);
	});

	it("PUSH of a segment register takes a slot but stores 16 bits", () => {
		const pushed = run("06", { before: "esp=200" });
		expect([pushed.after("esp"), ...pushed.stores]).toEqual(["esp=1fc", "ss:1fc=00e5"]);
	});

	it("a 16-bit stack wraps and keeps the upper half of ESP", () => {
		const pushed = run("50", { stack: 16, before: "esp=12340002 eax=11223344" });
		expect([pushed.after("esp"), ...pushed.stores]).toEqual(["esp=1234fffe", "ss:fffe=11223344"]);
	});

	it("LEAVE starts from EBP", () => {
		expect(run("c9", { before: "esp=10 ebp=300 [300]=78563412" }).after("esp ebp")).toBe("esp=304 ebp=12345678");
	});

	it("RET iw frees its argument, CALL pushes the next address", () => {
		expect(run("c2 0800", { before: "esp=200 [200]=78563412" }).after("esp ip")).toBe("esp=20c ip=12345678");
		expect(run("e8 10000000", { before: "esp=200" })).toMatchObject({ stores: ["ss:1fc=00000105"] });
	});
});

describe("jumps", () => {
	it("a 16-bit jump wraps the instruction pointer", () => {
		expect(run("e9 00ff", { bits: 16 }).after("ip")).toBe("ip=3");
	});

	it("LOOP counts in CX or ECX by the address size, whatever the operand size", () => {
		expect(run("67 e2 10", { before: "ecx=10000" }).after("ecx ip")).toBe("ecx=1ffff ip=113");
		expect(run("e2 10", { before: "rcx=ffffffff00000001" }).after("rcx ip")).toBe("rcx=0 ip=102");
		expect(run("67 e2 10", { bits: 16, before: "ecx=10001" }).after("ecx ip")).toBe("ecx=10000 ip=113");
	});

	it("LOOPE goes on while ZF is set, JCXZ looks at the register alone", () => {
		expect(run("e1 10", { before: "ecx=2 flags=Z" }).after("ip")).toBe("ip=112");
		expect(run("e1 10", { before: "ecx=2" }).after("ip")).toBe("ip=102");
		expect(run("67 e3 10", { before: "ecx=10000" }).after("ip")).toBe("ip=113");
	});
});

describe("decimal adjustment", () => {
	it.each([
		["27", "al=9a", "al=0 flags=CPAZ"],
		["27", "al=fa flags=A", "al=60 flags=CPA"],
		["2f", "al=3 flags=A", "al=fd flags=CAS"],
		["2f", "al=9f flags=C", "al=39 flags=CPA"],
		["37", "ax=fa", "ax=200 flags=CPAZ"],
		["3f", "ax=205", "ax=205 flags=P"],
		["3f", "ax=205 flags=A", "ax=f flags=CPA"],
		["d5 0a", "ax=307", "ax=25 flags="],
	])("%s with %s: %s", (code, before, expected) => {
		const names = expected.split(" ").map((word) => word.split("=")[0]);
		expect(run(code, { before }).after(names.join(" "))).toBe(expected);
	});
});

describe("helpers get", () => {
	it.each([
		["a far jump its selector and offset", "ea 78563412 3300", {}, "jumpFar 33 12345678 4"],
		["a far call through memory its place", "ff 1b", { before: "ebx=80" }, "callFarThrough 3 80 4"],
		["a far call of 16 bits", "66 ff 1b", { before: "ebx=80" }, "callFarThrough 3 80 2"],
		["LDS segment, register and place", "c5 33", { before: "ebx=80" }, "loadFarPointer 3 6 3 80 4"],
		["MOVS its prefixes", "67 f3 26 a5", {}, "string 0 4 0 2 f3"],
		["INS the port's width", "66 6d", {}, "string 5 2 3 4 0"],
		["IN a port by number", "e4 71", {}, "in 71 1"],
		["OUT a port in DX, without what lies above", "ef", { before: "edx=1234cf8" }, "out 4cf8 4"],
		["ENTER its level modulo 32", "c8 1000 21", {}, "enter 10 1 4"],
		["RET far its bytes", "ca 0800", {}, "returnFar 8 4"],
		["MOV to CR its numbers", "0f 22 d9", {}, "writeControl 3 1"],
		["MOV from DR whatever mod says", "0f 21 3b", {}, "readDebug 7 3"],
		["MOV to a segment register its selector", "8e d8", { before: "eax=123400f8" }, "loadSegment 3 f8"],
		["POP FS its number", "0f a1", {}, "popSegment 4 4"],
		["LGDT its address", "0f 01 16 3412", { bits: 16 as const }, "loadTable 0 3 1234 2"],
		["INT its vector", "cd 80", {}, "softInterrupt 80 0"],
		["INTO that it is one", "ce", {}, "softInterrupt 4 2"],
	])("%s", (_, code, setup, expected) => {
		const { outcome } = run(code, setup);
		expect(outcome.kind === "helper" && [outcome.name, ...outcome.args.map((arg) => arg.toString(16))].join(" ")).toBe(
			expected,
		);
	});
});

describe("state shown", () => {
	it("SMSW gives a register as much of CR0 as it holds, memory 16 bits", () => {
		expect(run("0f 01 e0").after("eax")).toBe("eax=80050033");
		expect(run("66 0f 01 e0", { before: "eax=12345678" }).after("eax")).toBe("eax=12340033");
		expect(run("0f 01 23", { before: "ebx=80" }).stores).toEqual(["ds:80=0033"]);
	});

	it("MOV from a segment register clears the rest of a 32-bit register", () => {
		expect(run("8c d8", { before: "eax=12345678" }).after("eax")).toBe("eax=d5");
		expect(run("66 8c d8", { before: "eax=12345678" }).after("eax")).toBe("eax=123400d5");
	});
});
