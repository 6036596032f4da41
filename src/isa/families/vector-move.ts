import { family } from "../family.ts";
import { type VectorForms, vectorFamily, vectorForms } from "../packed.ts";
import type { Semantics } from "../semantics.ts";
import { join, lane } from "../vector.ts";

// Whole vectors.

const move = (x: Semantics): void => x.packedUnary((a) => a);

type Shape = Pick<VectorForms, "prefix" | "sse">;

function moves(name: string, title: string, load: string, store: string, shape: Shape, aligned: boolean) {
	const options = { aligned };
	return vectorFamily(name, title, {
		forms: [
			{ opcode: `0F ${load} /r`, ...shape, avx2: "avx", operands: "Vx, Wx", options },
			{ opcode: `0F ${store} /r`, ...shape, avx2: "avx", operands: "Wx, Vx", options },
		],
		meaning: move,
	});
}

const PS: Shape = { prefix: "NP", sse: "sse" };
const PD: Shape = { prefix: "66", sse: "sse2" };
const UNALIGNED: Shape = { prefix: "F3", sse: "sse2" };

export const MOVAPS = moves("MOVAPS", "Move aligned singles", "28", "29", PS, true);
export const MOVAPD = moves("MOVAPD", "Move aligned doubles", "28", "29", PD, true);
export const MOVUPS = moves("MOVUPS", "Move unaligned singles", "10", "11", PS, false);
export const MOVUPD = moves("MOVUPD", "Move unaligned doubles", "10", "11", PD, false);
export const MOVDQA = moves("MOVDQA", "Move aligned integers", "6F", "7F", PD, true);
export const MOVDQU = moves("MOVDQU", "Move unaligned integers", "6F", "7F", UNALIGNED, false);

export const LDDQU = vectorFamily("LDDQU", "Load unaligned integers", {
	forms: [
		{ opcode: "0F F0 /r", prefix: "F2", sse: "pni", avx2: "avx", operands: "Vx, Mx", options: { aligned: false } },
	],
	meaning: move,
});

const streamed = (opcode: string, shape: Shape): VectorForms => ({
	opcode: `0F ${opcode} /r`,
	...shape,
	avx2: "avx",
	operands: "Mx, Vx",
	options: { aligned: true },
});

export const MOVNTPS = vectorFamily("MOVNTPS", "Store singles past the caches", {
	forms: [streamed("2B", PS)],
	meaning: move,
});
export const MOVNTPD = vectorFamily("MOVNTPD", "Store doubles past the caches", {
	forms: [streamed("2B", PD)],
	meaning: move,
});
export const MOVNTDQ = vectorFamily("MOVNTDQ", "Store integers past the caches", {
	forms: [streamed("E7", PD)],
	meaning: move,
});
export const MOVNTDQA = vectorFamily("MOVNTDQA", "Load integers past the caches", {
	forms: [{ opcode: "0F 38 2A /r", sse: "sse4.1", operands: "Vx, Mx", options: { aligned: true } }],
	meaning: move,
});
export const MOVNTQ = family("MOVNTQ", "Store an MMX register past the caches", {
	forms: [["NP 0F E7 /r", "Mq, Pq"]],
	feature: "sse",
	meaning: (x) => x.writeVector(0, x.read(1)),
});

// One element: from memory it clears the rest, from a register it leaves it (VEX: takes it from another one).

function scalarMove(name: string, title: string, prefix: "F3" | "F2", sse: "sse" | "sse2", width: "ss" | "sd") {
	const memory = `M${width === "ss" ? "d" : "q"}`;
	const vex = `VEX.LIG.${prefix}.0F.WIG`;
	return family(name, title, {
		forms: [
			[`${prefix} 0F 10 /r`, `Vdq, ${memory}`, { feature: sse }],
			[`${prefix} 0F 10 /r`, `V${width}, U${width}`, { feature: sse }],
			[`${prefix} 0F 11 /r`, `${memory}, V${width}`, { feature: sse }],
			[`${prefix} 0F 11 /r`, `U${width}, V${width}`, { feature: sse }],
			[`${vex} 10 /r`, `Vdq, ${memory}`, { feature: "avx" }],
			[`${vex} 10 /r`, `V${width}, H${width}, U${width}`, { feature: "avx" }],
			[`${vex} 11 /r`, `${memory}, V${width}`, { feature: "avx" }],
			[`${vex} 11 /r`, `U${width}, H${width}, V${width}`, { feature: "avx" }],
		],
		aliases: [`V${name}`],
		meaning: (x) => {
			if (x.isMemory(1)) x.writeVector(0, x.read(1).zext(128));
			else if (x.isMemory(0)) x.writeVector(0, x.read(1));
			else x.writeScalar(x.read(x.operands.length - 1));
		},
	});
}

export const MOVSS = scalarMove("MOVSS", "Move a single", "F3", "sse", "ss");
export const MOVSD_VECTOR = scalarMove("MOVSD", "Move a double", "F2", "sse2", "sd");

// Halves of 128 bits.

/** Low or high quadword from memory; the other stays, or comes from operand 1 with VEX. */
function loadHalf(high: boolean) {
	return (x: Semantics): void => {
		const before = x.readWhole(x.vex ? 1 : 0);
		const value = x.read(x.vex ? 2 : 1);
		x.writeVector(0, high ? join(lane(before, 64, 0), value) : join(value, lane(before, 64, 1)));
	};
}

function halfMove(name: string, title: string, load: string, store: string, shape: Shape, high: boolean) {
	return vectorFamily(name, title, {
		forms: [
			{ opcode: `0F ${load} /r`, ...shape, avx2: "none", operands: "Vdq, Hdq, Mq" },
			{ opcode: `0F ${store} /r`, ...shape, avx2: "none", operands: "Mq, Vdq" },
		],
		meaning: (x) => {
			if (x.isMemory(0)) x.writeVector(0, lane(x.read(1), 64, high ? 1 : 0));
			else loadHalf(high)(x);
		},
	});
}

export const MOVLPS = halfMove("MOVLPS", "Move two low singles", "12", "13", PS, false);
export const MOVLPD = halfMove("MOVLPD", "Move the low double", "12", "13", PD, false);
export const MOVHPS = halfMove("MOVHPS", "Move two high singles", "16", "17", PS, true);
export const MOVHPD = halfMove("MOVHPD", "Move the high double", "16", "17", PD, true);

export const MOVHLPS = vectorFamily("MOVHLPS", "Move high singles to low", {
	forms: [{ opcode: "0F 12 /r", ...PS, avx2: "none", operands: "Vdq, Hdq, Udq" }],
	meaning: (x) => x.packed((a, b) => join(lane(b, 64, 1), lane(a, 64, 1))),
});
export const MOVLHPS = vectorFamily("MOVLHPS", "Move low singles to high", {
	forms: [{ opcode: "0F 16 /r", ...PS, avx2: "none", operands: "Vdq, Hdq, Udq" }],
	meaning: (x) => x.packed((a, b) => join(lane(a, 64, 0), lane(b, 64, 0))),
});

// Scalars between banks of registers.

export const MOVD = family("MOVD", "Move a doubleword or quadword", {
	forms: [
		...vectorForms({ opcode: "0F 6E /r", mmx: "mmx", sse: "sse2", avx2: "none", operands: "Vdq, Ey" }),
		...vectorForms({
			opcode: "0F 7E /r",
			mmx: "mmx",
			sse: "sse2",
			avx2: "none",
			operands: "Ey, Vy",
			operandsMmx: "Ey, Py",
		}),
	],
	aliases: ["MOVQ", "VMOVD", "VMOVQ"],
	meaning: (x) => {
		const value = x.read(1);
		const bank = x.operands[0]?.bank;
		if (bank === "general") x.write(0, value);
		else x.writeVector(0, value.zext(bank === "mmx" ? 64 : 128));
	},
});

export const MOVQ = family("MOVQ", "Move a quadword", {
	forms: [
		["NP 0F 6F /r", "Pq, Qq", { feature: "mmx" }],
		["NP 0F 7F /r", "Qq, Pq", { feature: "mmx" }],
		...vectorForms({ opcode: "0F 7E /r", prefix: "F3", sse: "sse2", avx2: "none", operands: "Vq, Wq" }),
		...vectorForms({ opcode: "0F D6 /r", sse: "sse2", avx2: "none", operands: "Wq, Vq" }),
	],
	aliases: ["VMOVQ"],
	meaning: (x) => {
		const value = x.read(1);
		x.writeVector(0, x.isMemory(0) || x.operands[0]?.bank === "mmx" ? value : value.zext(128));
	},
});

export const MOVQ2DQ = family("MOVQ2DQ", "Move from an MMX register", {
	forms: [["F3 0F D6 /r", "Vdq, Nq"]],
	feature: "sse2",
	meaning: (x) => x.writeVector(0, x.read(1).zext(128)),
});
export const MOVDQ2Q = family("MOVDQ2Q", "Move to an MMX register", {
	forms: [["F2 0F D6 /r", "Pq, Uq"]],
	feature: "sse2",
	meaning: (x) => x.writeVector(0, x.read(1)),
});
