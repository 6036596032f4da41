import { instructionTable } from "../../../src/isa/index.ts";
import type { Instance } from "../../../src/isa/table.ts";

/**
 * Prints `COUNT` encodings of each vector instruction that rounds nothing, for 64-bit code, as lines for run.c:
 * npx tsx test/vectors/generate-simd/cases.ts COUNT SEED [NAME]
 */
const [count = "2", seed = "1", name] = process.argv.slice(2);

let state = Number(seed);
function random(below: number): number {
	state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
	return Math.floor((state / 0x1_0000_0000) * below);
}

/** RBX and RDI hold the address of the memory, RSP is the stack's. */
const GENERAL = [0, 1, 2, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15];

const pick = (bank: string): number =>
	bank === "general" ? GENERAL[random(GENERAL.length)]! : random(bank === "mmx" ? 8 : 16);

/** The line of one encoding, with registers, places and immediates at random. */
function line({ form, size, rm, operands }: Instance): string {
	const { encoding, options } = form;
	const { vex, prefix, map } = encoding;
	const bankOf = (kind: string): string => operands.find((operand) => operand.kind === kind)?.bank ?? "general";
	let reg = encoding.modrm === "r" ? pick(bankOf("reg")) : Number(encoding.modrm);
	const register = pick(bankOf("rm"));
	let vvvv = form.usesVvvv ? pick(bankOf("vvvv")) : 0;
	const index = random(16);
	if (options.vsib) while (reg === index || reg === vvvv || index === vvvv) [reg, vvvv] = [random(16), random(16)];
	const wide = vex?.w ?? (form.sized ? Number(size === 64) : random(2));
	const tail: number[] = [encoding.opcode];
	const [r, x, b] = [reg >> 3, options.vsib ? index >> 3 : 0, rm === "memory" || rm === "none" ? 0 : register >> 3];
	if (rm === "memory") {
		const displacement = form.aligned ? random(4) * 32 : random(112);
		if (options.vsib) tail.push(0x44 | ((reg & 7) << 3), (random(4) << 6) | ((index & 7) << 3) | 3, 96);
		else tail.push(0x43 | ((reg & 7) << 3), displacement);
	} else if (encoding.modrm !== undefined) tail.push(0xc0 | ((reg & 7) << 3) | (register & 7));
	for (const { immediateBytes } of operands) if (immediateBytes > 0) tail.push(random(256));
	const bytes: number[] = [];
	if (vex) {
		const pp = prefix > 0 ? [0x66, 0xf3, 0xf2].indexOf(prefix) + 1 : 0;
		const length = vex.l ?? random(2);
		bytes.push(0xc4, ((r ^ 1) << 7) | ((x ^ 1) << 6) | ((b ^ 1) << 5) | map);
		bytes.push((wide << 7) | ((vvvv ^ 15) << 3) | (length << 2) | pp);
	} else {
		if (prefix > 0) bytes.push(prefix);
		const rex = (form.sized ? wide << 3 : 0) | (r << 2) | (x << 1) | b;
		if (rex || random(4) === 0) bytes.push(0x40 | rex);
		bytes.push(...[[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][map]!);
	}
	const hex = Buffer.from([...bytes, ...tail]).toString("hex");
	const indexBytes = options.vsib ? Number(form.instances[32]?.[1]?.meaning.helper?.args[3]?.node.kind === "const") : 0;
	if (indexBytes === 0) return hex;
	const width = form.instances[32]![1]!.meaning.helper!.args[3]!.node;
	return `${hex} g${index}:${width.kind === "const" ? width.value : 4}`;
}

const CHECKS = ["sse", "avx", "mmx"] as const;
for (const instance of instructionTable().instances) {
	const { form, meaning } = instance;
	if (name !== undefined && form.family.name !== name) continue;
	if (!CHECKS.some((check) => form.checks.includes(check)) || form.operandCodes.length === 0) continue;
	if (form.operandCodes[0] === "Md" && form.operandCodes.length === 1) continue;
	if ((meaning.floats?.length ?? 0) > 0 || instance.size === 16) continue;
	for (let n = 0; n < Number(count); n++) console.log(line(instance));
}
