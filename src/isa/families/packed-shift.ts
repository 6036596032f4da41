import { constant, type Expr } from "../expr.ts";
import { type Family, type FormLine, family } from "../family.ts";
import { packed, vectorForms } from "../packed.ts";
import { lane, lanes, shiftLanes, splat, type VectorShift, vector, withLane } from "../vector.ts";

const ZERO = constant(128, 0);
const IOTA = lanes(8, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
const WIDTHS = { i8x16: 8, i16x8: 16, i32x4: 32, i64x2: 64 } as const;

function widthOf(op: VectorShift): 8 | 16 | 32 | 64 {
	const [shape] = op.split(".");
	return WIDTHS[shape as keyof typeof WIDTHS];
}

/** All lanes shifted by the low quadword of `count`; a count beyond the lane leaves 0 or the sign. */
function shiftAll(op: VectorShift): (a: Expr, count: Expr) => Expr {
	const width = widthOf(op);
	return (a, count) => {
		const wanted = lane(count, 64, 0);
		const low = wanted.trunc(32);
		const inside = wanted.ltU(width);
		if (op.endsWith("shr_s")) return shiftLanes(op, a, inside.select(low, width - 1));
		return inside.select(shiftLanes(op, a, low.and(width - 1)), ZERO);
	};
}

/** Forms with the destination in VEX.vvvv and a count in the opcode's last byte. */
function immediateForms(opcode: string, mmx: boolean): FormLine[] {
	const lines: FormLine[] = [
		[`66 0F ${opcode} ib`, "Ux, Ib", { feature: "sse2" }],
		[`VEX.128.66.0F.WIG ${opcode} ib`, "Hx, Ux, Ib", { feature: "avx" }],
		[`VEX.256.66.0F.WIG ${opcode} ib`, "Hx, Ux, Ib", { feature: "avx2" }],
	];
	return mmx ? [[`NP 0F ${opcode} ib`, "Nq, Ib", { feature: "mmx" }], ...lines] : lines;
}

/** A shift of all lanes, by a register or memory and by an immediate. */
function shift(name: string, title: string, opcode: string, immediate: string, op: VectorShift): Family {
	const byVector = vectorForms({ opcode: `0F ${opcode} /r`, mmx: "mmx", sse: "sse2", operands: "Vx, Hx, Wdq" });
	return family(name, title, {
		forms: [...byVector, ...immediateForms(immediate, true)],
		aliases: [`V${name}`],
		meaning: (x) => x.packed(shiftAll(op)),
	});
}

export const PSLLW = shift("PSLLW", "Shift words left", "F1", "71 /6", "i16x8.shl");
export const PSLLD = shift("PSLLD", "Shift doublewords left", "F2", "72 /6", "i32x4.shl");
export const PSLLQ = shift("PSLLQ", "Shift quadwords left", "F3", "73 /6", "i64x2.shl");
export const PSRLW = shift("PSRLW", "Shift words right", "D1", "71 /2", "i16x8.shr_u");
export const PSRLD = shift("PSRLD", "Shift doublewords right", "D2", "72 /2", "i32x4.shr_u");
export const PSRLQ = shift("PSRLQ", "Shift quadwords right", "D3", "73 /2", "i64x2.shr_u");
export const PSRAW = shift("PSRAW", "Shift words right, signed", "E1", "71 /4", "i16x8.shr_s");
export const PSRAD = shift("PSRAD", "Shift doublewords right, signed", "E2", "72 /4", "i32x4.shr_s");

/** Bytes by number; those from 16 on, and those "before 0", are 0. */
function pickBytes(a: Expr, numbers: Expr): Expr {
	return vector("i8x16.swizzle", a, numbers);
}

/** The count of a byte shift, at most 16, in every byte. */
function byteCount(count: Expr): Expr {
	return vector("i8x16.min_u", splat(8, lane(count, 8, 0)), splat(8, constant(8, 16)));
}

export const PSLLDQ = family("PSLLDQ", "Shift the whole vector left by bytes", {
	forms: immediateForms("73 /7", false),
	aliases: ["VPSLLDQ"],
	meaning: (x) => x.packed((a, count) => pickBytes(a, vector("i8x16.sub", IOTA, byteCount(count)))),
});

export const PSRLDQ = family("PSRLDQ", "Shift the whole vector right by bytes", {
	forms: immediateForms("73 /3", false),
	aliases: ["VPSRLDQ"],
	meaning: (x) => x.packed((a, count) => pickBytes(a, vector("i8x16.add", IOTA, byteCount(count)))),
});

/** Each lane by a count of its own; one beyond the lane leaves 0 or the sign. */
function shiftEach(width: 32 | 64, op: "shl" | "shrU" | "shrS"): (a: Expr, counts: Expr) => Expr {
	return (a, counts) => {
		let result = ZERO;
		for (let n = 0; n < 128 / width; n++) {
			const [value, count] = [lane(a, width, n), lane(counts, width, n)];
			const inside = count.ltU(width);
			const shifted =
				op === "shrS" ? value.shrS(inside.select(count, width - 1)) : inside.select(value[op](count.and(width - 1)), 0);
			result = withLane(result, width, n, shifted);
		}
		return result;
	};
}

const variable = (opcode: string, w: "W0" | "W1") =>
	({ opcode: `0F 38 ${opcode} /r`, sse: "none", avx: "avx2", w }) as const;

export const VPSLLVD = packed("VPSLLVD", "Shift doublewords left, each", variable("47", "W0"), shiftEach(32, "shl"));
export const VPSLLVQ = packed("VPSLLVQ", "Shift quadwords left, each", variable("47", "W1"), shiftEach(64, "shl"));
export const VPSRLVD = packed("VPSRLVD", "Shift doublewords right, each", variable("45", "W0"), shiftEach(32, "shrU"));
export const VPSRLVQ = packed("VPSRLVQ", "Shift quadwords right, each", variable("45", "W1"), shiftEach(64, "shrU"));
export const VPSRAVD = packed(
	"VPSRAVD",
	"Shift doublewords right, signed, each",
	variable("46", "W0"),
	shiftEach(32, "shrS"),
);
