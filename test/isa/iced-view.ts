import * as iced from "iced-x86";
import type { Decoded } from "../../src/isa/decoder.ts";
import type { Operand } from "../../src/isa/operand.ts";

const { OpKind, Register } = iced;

const IMMEDIATE_BITS: Readonly<Record<number, number>> = {
	[OpKind.Immediate8]: 8,
	[OpKind.Immediate8_2nd]: 8,
	[OpKind.Immediate16]: 16,
	[OpKind.Immediate8to16]: 16,
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

function registerName(number: number, width: number): string {
	if (width === 8) return BYTE[number]!;
	return (width === 32 ? "e" : "") + WORD[number]!;
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
export function icedView(instruction: iced.Instruction, width: (size: iced.MemorySize) => number): View {
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
			case OpKind.FarBranch16:
				operands.push(`${hex(instruction.farBranchSelector, 16)}:${hex(instruction.farBranch16, 16)}`);
				break;
			case OpKind.FarBranch32:
				operands.push(`${hex(instruction.farBranchSelector, 16)}:${hex(instruction.farBranch32, 32)}`);
				break;
			case OpKind.Memory: {
				const segment = ICED_NAMES.get(instruction.memorySegment)!;
				const base = ICED_NAMES.get(instruction.memoryBase)!;
				const index = ICED_NAMES.get(instruction.memoryIndex)!;
				const displacement = hex(instruction.memoryDisplacement, 32);
				const scale = index === "none" ? 1 : instruction.memoryIndexScale;
				operands.push(memory(segment, base, index, scale, displacement, width(instruction.memorySize)));
				break;
			}
			case OpKind.MemorySegSI:
			case OpKind.MemorySegESI:
				operands.push(
					`${width(instruction.memorySize)} ${ICED_NAMES.get(instruction.memorySegment)}:${kind === OpKind.MemorySegSI ? "si" : "esi"}`,
				);
				break;
			case OpKind.MemoryESDI:
			case OpKind.MemoryESEDI:
				operands.push(`${width(instruction.memorySize)} es:${kind === OpKind.MemoryESDI ? "di" : "edi"}`);
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
export function ourView(decoded: Decoded, ip: number): View {
	const instance = decoded.instance!;
	let immediates = 0;
	const text = (operand: Operand): string => {
		const { kind, width, bank } = operand;
		const selector = width === 16 && SELECTORS.has(instance.form.family.name);
		const immediate = (): number => (immediates++ === 0 ? decoded.immediate : decoded.immediate2);
		const address = decoded.addressSize === 16 ? 16 : 32;
		switch (kind) {
			case "vvvv":
			case "selector": {
				const number = kind === "vvvv" ? decoded.vvvv : immediate();
				return bank === "general" ? registerName(number, width) : `${vectorName(operand)}${number}`;
			}
			case "rm": {
				if (instance.rm === "register" && bank !== "general") return `${vectorName(operand)}${decoded.rm}`;
				if (instance.rm === "register") return registerName(decoded.rm, selector ? decoded.operandSize : width);
				const name = (register: number): string => (register < 0 ? "none" : registerName(register, address));
				const { base, index, scale, segment } = decoded;
				// POP to an address by ESP: our displacement includes what the pop adds.
				const popped = instance.form.options.popsFirst && base === 4 ? decoded.operandSize / 8 : 0;
				const displacement = hex(decoded.displacement - popped, address);
				const bits = width * operand.halves;
				return memory(SEGMENT[segment]!, name(base), name(index), 1 << scale, displacement, bits);
			}
			case "reg":
				if (bank !== "general") return `${vectorName(operand)}${decoded.reg}`;
				return registerName(decoded.reg, selector ? decoded.operandSize : width);
			case "opcodeReg":
				return registerName(decoded.rm, width);
			case "fixed":
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
				return `# ${hex(immediate(), width)}`;
			case "relative":
				return `to ${hex(ip + decoded.length + immediate(), decoded.operandSize)}`;
			case "farPointer":
				return `${hex(decoded.immediate2, 16)}:${hex(decoded.immediate, decoded.operandSize)}`;
			case "offset":
				return memory(SEGMENT[decoded.segment]!, "none", "none", 1, hex(decoded.immediate, address), width);
			case "string":
				return operand.code[0] === "X"
					? `${width} ${SEGMENT[decoded.segment]}:${address === 16 ? "si" : "esi"}`
					: `${width} es:${address === 16 ? "di" : "edi"}`;
		}
	};
	const operands = instance.operands.map(text);
	const { name } = instance.form.family;
	if (name === "XLAT") {
		// Implied, but iced shows it.
		const base = decoded.addressSize === 16 ? "bx" : "ebx";
		operands.push(memory(SEGMENT[decoded.segment]!, base, "al", 1, "0x0", 8));
	}
	return { length: decoded.length, mnemonic: name.toLowerCase(), operands, lock: decoded.lock };
}
