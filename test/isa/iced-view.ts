import * as iced from "iced-x86";
import { type Decoded, RIP_RELATIVE } from "../../src/isa/decoder.ts";
import type { Operand } from "../../src/isa/operand.ts";

const { OpKind, Register } = iced;

const IMMEDIATE_BITS: Readonly<Record<number, number>> = {
	[OpKind.Immediate8]: 8,
	[OpKind.Immediate8_2nd]: 8,
	[OpKind.Immediate16]: 16,
	[OpKind.Immediate8to16]: 16,
	[OpKind.Immediate8to64]: 64,
	[OpKind.Immediate32to64]: 64,
	[OpKind.Immediate64]: 64,
};

const STRING_INDEX: Readonly<Record<number, string>> = {
	[OpKind.MemorySegSI]: "si",
	[OpKind.MemorySegESI]: "esi",
	[OpKind.MemorySegRSI]: "rsi",
	[OpKind.MemoryESDI]: "di",
	[OpKind.MemoryESEDI]: "edi",
	[OpKind.MemoryESRDI]: "rdi",
};

/** Where the manual has a 16-bit selector, iced names the register by the operand size. */
const SELECTORS = new Set(["LLDT", "LTR", "VERR", "VERW", "LAR", "LSL", "LMSW", "ARPL", "MOV"]);

/** One decoded instruction as words that both decoders can be brought to. */
export interface View {
	readonly length: number;
	readonly mnemonic: string;
	readonly operands: readonly string[];
	readonly lock: boolean;
}

const BYTE = ["al", "cl", "dl", "bl", "ah", "ch", "dh", "bh"];
const WORD = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];
const SEGMENT = ["es", "cs", "ss", "ds", "fs", "gs"];

function registerName(number: number, width: number, rex = 0): string {
	if (number > 7) return `r${number}${{ 8: "l", 16: "w", 32: "d" }[width] ?? ""}`;
	if (width === 8) return rex !== 0 && number > 3 ? `${WORD[number]}l` : BYTE[number]!;
	return (width === 64 ? "r" : width === 32 ? "e" : "") + WORD[number]!;
}

/** In 64-bit mode only FS and GS are told apart. */
function segmentName(name: string, codeSize: number): string {
	return codeSize === 64 && !/^[fg]s$/.test(name) ? "flat" : name;
}

function vectorName({ bank, halves }: Operand): string {
	return bank === "mmx" ? "mm" : halves === 2 ? "ymm" : "xmm";
}

const ICED_NAMES = new Map(
	Object.entries(Register)
		.filter(([, value]) => typeof value === "number")
		.map(([name, value]) => [value as number, name.toLowerCase()]),
);

const hex = (value: bigint | number, bits: number): string => `0x${BigInt.asUintN(bits, BigInt(value)).toString(16)}`;

function memory(
	segment: string,
	base: string,
	index: string,
	scale: number,
	displacement: string,
	width: number,
): string {
	return `${width} ${segment}:[${base}+${index}*${scale}+${displacement}]`;
}

/** How iced sees it. `sizes` are the widths of its memory operands, as iced names sizes by type. */
export function icedView(
	instruction: iced.Instruction,
	width: (size: iced.MemorySize) => number,
	codeSize: 16 | 32 | 64,
): View {
	const operands: string[] = [];
	for (let n = 0; n < instruction.opCount; n++) {
		const kind = instruction.opKind(n);
		switch (kind) {
			case OpKind.Register:
				operands.push(ICED_NAMES.get(instruction.opRegister(n))!);
				break;
			case OpKind.NearBranch16:
				operands.push(`to ${hex(instruction.nearBranch16, 16)}`);
				break;
			case OpKind.NearBranch32:
				operands.push(`to ${hex(instruction.nearBranch32, 32)}`);
				break;
			case OpKind.NearBranch64:
				operands.push(`to ${hex(instruction.nearBranch64, 64)}`);
				break;
			case OpKind.FarBranch16:
				operands.push(`${hex(instruction.farBranchSelector, 16)}:${hex(instruction.farBranch16, 16)}`);
				break;
			case OpKind.FarBranch32:
				operands.push(`${hex(instruction.farBranchSelector, 16)}:${hex(instruction.farBranch32, 32)}`);
				break;
			case OpKind.Memory: {
				const segment = segmentName(ICED_NAMES.get(instruction.memorySegment)!, codeSize);
				const base = ICED_NAMES.get(instruction.memoryBase)!;
				// Of a vector of indices only the number counts: how long it is follows from the instruction.
				const index = ICED_NAMES.get(instruction.memoryIndex)!.replace(/^[xy]mm/, "vector ");
				const narrow = /^(e|r\d+d)/.test(base + index);
				const displacement = hex(instruction.memoryDisplacement, codeSize === 64 && !narrow ? 64 : 32);
				const scale = index === "none" ? 1 : instruction.memoryIndexScale;
				operands.push(memory(segment, base, index, scale, displacement, width(instruction.memorySize)));
				break;
			}
			case OpKind.MemorySegSI:
			case OpKind.MemorySegESI:
			case OpKind.MemorySegRSI: {
				const segment = segmentName(ICED_NAMES.get(instruction.memorySegment)!, codeSize);
				operands.push(`${width(instruction.memorySize)} ${segment}:${STRING_INDEX[kind]}`);
				break;
			}
			case OpKind.MemoryESDI:
			case OpKind.MemoryESEDI:
			case OpKind.MemoryESRDI:
				operands.push(`${width(instruction.memorySize)} ${segmentName("es", codeSize)}:${STRING_INDEX[kind]}`);
				break;
			// Implied by the opcode: ours does not count it as an operand.
			case OpKind.MemorySegDI:
			case OpKind.MemorySegEDI:
			case OpKind.MemorySegRDI:
				break;
			default:
				operands.push(`# ${hex(instruction.immediate(n), IMMEDIATE_BITS[kind] ?? 32)}`);
		}
	}
	return {
		length: instruction.length,
		mnemonic: iced.Mnemonic[instruction.mnemonic]!.toLowerCase(),
		operands,
		lock: instruction.hasLockPrefix,
	};
}

/** How our decoder sees it, as the instruction at `ip` of code with `codeSize` bits. */
export function ourView(decoded: Decoded, ip: number, codeSize: 16 | 32 | 64): View {
	const instance = decoded.instance!;
	let immediates = 0;
	const text = (operand: Operand): string => {
		const { kind, width, bank } = operand;
		const selector = width === 16 && SELECTORS.has(instance.form.family.name);
		const immediate = (): number => (immediates++ === 0 ? decoded.immediate : decoded.immediate2);
		const address = decoded.addressSize;
		const { rex } = decoded;
		const whole = BigInt(decoded.immediate >>> 0) | (BigInt(decoded.immediateHigh >>> 0) << 32n);
		const segmentOf = (number: number): string => segmentName(SEGMENT[number]!, codeSize);
		switch (kind) {
			case "vvvv":
			case "selector": {
				const number = kind === "vvvv" ? decoded.vvvv : immediate();
				return bank === "general" ? registerName(number, width) : `${vectorName(operand)}${number}`;
			}
			case "rm": {
				if (instance.rm === "register" && bank !== "general") return `${vectorName(operand)}${decoded.rm}`;
				if (instance.rm === "register") return registerName(decoded.rm, selector ? decoded.operandSize : width, rex);
				const name = (register: number): string => (register < 0 ? "none" : registerName(register, address));
				const { base, index, scale, segment } = decoded;
				// POP to an address by ESP: our displacement includes what the pop adds.
				const popped = instance.form.options.popsFirst && base === 4 ? decoded.operandSize / 8 : 0;
				const bits = width * operand.halves;
				if (base === RIP_RELATIVE) {
					const target = hex(ip + decoded.length + decoded.displacement, address);
					return memory(segmentOf(segment), address === 64 ? "rip" : "eip", name(index), 1, target, bits);
				}
				const displacement = hex(decoded.displacement - popped, address);
				const indexName = instance.form.options.vsib ? `vector ${index}` : name(index);
				return memory(segmentOf(segment), name(base), indexName, 1 << scale, displacement, bits);
			}
			case "reg":
				if (bank !== "general") return `${vectorName(operand)}${decoded.reg}`;
				return registerName(decoded.reg, selector ? decoded.operandSize : width, rex);
			case "opcodeReg":
				return registerName(decoded.rm, width, rex);
			case "fixed":
				if (bank !== "general") return `${vectorName(operand)}${operand.register}`;
				return registerName(operand.register, width);
			case "fixedSegment":
				return SEGMENT[operand.register]!;
			case "sreg":
				return SEGMENT[decoded.reg]!;
			case "creg":
				return `cr${decoded.reg}`;
			case "dreg":
				return `dr${decoded.reg}`;
			case "one":
				return "# 0x1";
			case "st0":
				return "st0";
			case "sti":
				return `st${decoded.rm & 7}`;
			case "immediate":
				return width === 64 ? `# ${hex(whole, 64)}` : `# ${hex(immediate(), width)}`;
			case "relative":
				return `to ${hex(ip + decoded.length + immediate(), decoded.operandSize)}`;
			case "farPointer":
				return `${hex(decoded.immediate2, 16)}:${hex(decoded.immediate, decoded.operandSize)}`;
			case "offset":
				return memory(segmentOf(decoded.segment), "none", "none", 1, hex(whole, address), width);
			case "string":
				return operand.code[0] === "X"
					? `${width} ${segmentOf(decoded.segment)}:${registerName(6, address)}`
					: `${width} ${segmentOf(0)}:${registerName(7, address)}`;
		}
	};
	// iced leaves out the XMM0 that an opcode implies.
	const operands = instance.operands.filter(({ code }) => code !== "XMM0").map(text);
	const { name } = instance.form.family;
	if (name === "XLAT") {
		// Implied, but iced shows it.
		const base = registerName(3, decoded.addressSize);
		operands.push(memory(segmentName(SEGMENT[decoded.segment]!, codeSize), base, "al", 1, "0x0", 8));
	}
	return { length: decoded.length, mnemonic: name.toLowerCase(), operands, lock: decoded.lock };
}
