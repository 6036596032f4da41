import { constant, type Expr } from "../expr.ts";
import { type Family, family } from "../family.ts";
import type { Feature } from "../features.ts";
import { type VectorForms, vectorForms } from "../packed.ts";
import { RDI } from "../registers.ts";
import type { Semantics } from "../semantics.ts";

/** Only elements whose bit in the mask is set touch memory: the helper goes through them one by one. */
function maskedMove(
	name: string,
	load: string,
	store: string,
	width: 32 | 64,
	forms: Omit<VectorForms, "opcode">,
): Family {
	const element = width / 8;
	const halves = (x: Semantics, index: number): [Expr, Expr] => [
		x.readHalf(index, 0),
		x.halves === 2 ? x.readHalf(index, 1) : constant(128, 0),
	];
	return family(name, "Load or store chosen elements", {
		forms: [
			...vectorForms({ ...forms, opcode: `0F 38 ${load} /r`, operands: "Vx, Hx, Mx" }),
			...vectorForms({ ...forms, opcode: `0F 38 ${store} /r`, operands: "Mx, Hx, Vx" }),
		],
		meaning: (x) => {
			const bytes = x.halves * 16;
			const place = [x.segment(), x.effectiveAddress()];
			if (x.isMemory(2)) x.helper("maskedLoad", ...place, ...halves(x, 1), element, bytes);
			else x.helper("maskedStore", ...place, ...halves(x, 2), ...halves(x, 1), element, bytes);
		},
	});
}

const AVX: Omit<VectorForms, "opcode"> = { sse: "none", avx2: "avx", w: "W0" };
const AVX2: Omit<VectorForms, "opcode"> = { sse: "none", avx: "avx2" };

export const VMASKMOVPS = maskedMove("VMASKMOVPS", "2C", "2E", 32, AVX);
export const VMASKMOVPD = maskedMove("VMASKMOVPD", "2D", "2F", 64, AVX);
export const VPMASKMOVD = maskedMove("VPMASKMOVD", "8C", "8E", 32, { ...AVX2, w: "W0" });
export const VPMASKMOVQ = maskedMove("VPMASKMOVQ", "8C", "8E", 64, { ...AVX2, w: "W1" });

/** Bytes of operand 0 whose mask in operand 1 is negative go to DS:rDI. */
function storeBytes(bytes: 8 | 16): (x: Semantics) => void {
	return (x) => {
		const zero = constant(128, 0);
		const whole = (index: number): Expr => (bytes === 8 ? x.read(index).zext(128) : x.read(index));
		const offset = x.wrapAddress(x.register(RDI, 64));
		x.helper("maskedStore", x.segment(), offset, whole(0), zero, whole(1), zero, 1, bytes);
	};
}

export const MASKMOVQ = family("MASKMOVQ", "Store chosen bytes of an MMX register", {
	forms: [["NP 0F F7 /r", "Pq, Nq"]],
	feature: "sse",
	meaning: storeBytes(8),
});
export const MASKMOVDQU = family("MASKMOVDQU", "Store chosen bytes", {
	forms: vectorForms({ opcode: "0F F7 /r", sse: "sse2", avx2: "none", operands: "Vdq, Udq" }),
	aliases: ["VMASKMOVDQU"],
	meaning: storeBytes(16),
});

/** Loads elements by a vector of indices where the mask is negative; what has been loaded is cleared in the mask. */
function gather(name: string, opcode: string, element: 4 | 8, index: 4 | 8): Family {
	const w = element === 8 ? "W1" : "W0";
	const form = (bits: 128 | 256): readonly [string, string, { feature: Feature; vsib: true }] => {
		// With wide indices and narrow elements there are half as many elements as fit.
		const operands = bits === 256 && element >= index ? "Vqq, Mv, Hqq" : "Vdq, Mv, Hdq";
		return [
			`VEX.${bits}.66.0F38.${w} ${opcode} /r`,
			operands.replace("Mv", element === 8 ? "Mq" : "Md"),
			{ feature: "avx2", vsib: true },
		];
	};
	return family(name, "Gather elements by indices", {
		forms: [form(128), form(256)],
		meaning: (x) => {
			const count = x.length / 8 / Math.max(element, index);
			x.helper("gather", x.segment(), x.effectiveAddress(), element, index, count);
		},
	});
}

export const VPGATHERDD = gather("VPGATHERDD", "90", 4, 4);
export const VPGATHERDQ = gather("VPGATHERDQ", "90", 8, 4);
export const VPGATHERQD = gather("VPGATHERQD", "91", 4, 8);
export const VPGATHERQQ = gather("VPGATHERQQ", "91", 8, 8);
export const VGATHERDPS = gather("VGATHERDPS", "92", 4, 4);
export const VGATHERDPD = gather("VGATHERDPD", "92", 8, 4);
export const VGATHERQPS = gather("VGATHERQPS", "93", 4, 8);
export const VGATHERQPD = gather("VGATHERQPD", "93", 8, 8);
