import type { Expr } from "../expr.ts";
import { type Family, type FormLine, family } from "../family.ts";
import type { Feature } from "../features.ts";
import type { FloatFunction } from "../float.ts";
import type { Semantics } from "../semantics.ts";
import { join, lane } from "../vector.ts";

/** A conversion between vectors; with VEX its name begins with V. */
function conversion(name: string, title: string, forms: readonly FormLine[], meaning: (x: Semantics) => void): Family {
	return family(name, title, { aliases: [`V${name}`], forms, meaning });
}

/** Lines with and without VEX of `opcode`; `wide` are the operands of 256 bits. */
function lines(
	prefix: string,
	opcode: string,
	operands: string,
	wide = operands,
	feature: Feature = "sse2",
): FormLine[] {
	return [
		[`${prefix} 0F ${opcode} /r`, operands, { feature }],
		[`VEX.128.${prefix}.0F.WIG ${opcode} /r`, operands, { feature: "avx" }],
		[`VEX.256.${prefix}.0F.WIG ${opcode} /r`, wide, { feature: "avx" }],
	];
}

/** From and to lanes of the same width. */
const alike = (result: (x: Semantics, a: Expr) => Expr) => (x: Semantics) => x.packedUnary((a) => result(x, a));

/** From lanes to others half as wide: the result of 128 bits fills 64, the rest is 0; that of 256 fills 128. */
const narrowing = (result: (x: Semantics, a: Expr) => Expr) => (x: Semantics) => {
	const low = result(x, x.readHalf(1, 0));
	x.writeVector(0, x.halves === 2 ? join(low, result(x, x.readHalf(1, 1))) : low.zext(128));
};

/** From lanes to others twice as wide: each 64 bits of the source give 128. */
const widening = (name: "ps2pd" | "dq2pd" | "ph2ps") => (x: Semantics) => {
	const source = x.read(1);
	if (x.halves === 1) x.writeVector(0, x.float(name, source));
	else x.writeVector(0, x.float(name, lane(source, 64, 0)), x.float(name, lane(source, 64, 1)));
};

const [ROUND, TRUNCATE] = [0, 1];

export const CVTDQ2PS = conversion(
	"CVTDQ2PS",
	"Convert packed doublewords to single precision",
	lines("NP", "5B", "Vx, Wx"),
	alike((x, a) => x.float("dq2ps", a)),
);
export const CVTPS2DQ = conversion(
	"CVTPS2DQ",
	"Convert packed single precision to doublewords",
	lines("66", "5B", "Vx, Wx"),
	alike((x, a) => x.float("ps2dq", a, ROUND)),
);
export const CVTTPS2DQ = conversion(
	"CVTTPS2DQ",
	"Convert packed single precision to doublewords, truncated",
	lines("F3", "5B", "Vx, Wx"),
	alike((x, a) => x.float("ps2dq", a, TRUNCATE)),
);
export const CVTPD2DQ = conversion(
	"CVTPD2DQ",
	"Convert packed double precision to doublewords",
	lines("F2", "E6", "Vdq, Wx"),
	narrowing((x, a) => x.float("pd2dq", a, ROUND)),
);
export const CVTTPD2DQ = conversion(
	"CVTTPD2DQ",
	"Convert packed double precision to doublewords, truncated",
	lines("66", "E6", "Vdq, Wx"),
	narrowing((x, a) => x.float("pd2dq", a, TRUNCATE)),
);
export const CVTDQ2PD = conversion(
	"CVTDQ2PD",
	"Convert packed doublewords to double precision",
	lines("F3", "E6", "Vx, Wq", "Vx, Wdq"),
	widening("dq2pd"),
);
export const CVTPS2PD = conversion(
	"CVTPS2PD",
	"Convert packed single precision to double",
	lines("NP", "5A", "Vx, Wq", "Vx, Wdq"),
	widening("ps2pd"),
);
export const CVTPD2PS = conversion(
	"CVTPD2PS",
	"Convert packed double precision to single",
	lines("66", "5A", "Vdq, Wx"),
	narrowing((x, a) => x.float("pd2ps", a)),
);

/** Forms of a conversion of one number, which leaves the rest of a vector as it is. */
function scalarLines(prefix: string, opcode: string, operands: string, feature: Feature): FormLine[] {
	return [
		[`${prefix} 0F ${opcode} /r`, operands.replace(/, H\w+/, ""), { feature }],
		[`VEX.LIG.${prefix}.0F${operands.includes("y") ? "" : ".WIG"} ${opcode} /r`, operands, { feature: "avx" }],
	];
}

const source = (x: Semantics): Expr => x.read(x.operands.length - 1);

export const CVTSS2SD = conversion(
	"CVTSS2SD",
	"Convert scalar single precision to double",
	scalarLines("F3", "5A", "Vsd, Hsd, Wss", "sse2"),
	(x) => x.writeScalar(x.float("ss2sd", source(x))),
);
export const CVTSD2SS = conversion(
	"CVTSD2SS",
	"Convert scalar double precision to single",
	scalarLines("F2", "5A", "Vss, Hss, Wsd", "sse2"),
	(x) => x.writeScalar(x.float("sd2ss", source(x))),
);

/** CVTSI2SS, CVTSI2SD, CVTSS2SI, CVTTSS2SI, CVTSD2SI, CVTTSD2SI. */
export const CVTSI = (["ss", "sd"] as const).flatMap((kind) => {
	const prefix = kind === "ss" ? "F3" : "F2";
	const feature = kind === "ss" ? "sse" : "sse2";
	const words = kind === "ss" ? "single" : "double";
	const upper = kind.toUpperCase();
	const toInteger = (truncate: 0 | 1) => (x: Semantics) =>
		x.write(0, x.float(`${kind}2si${x.width(0) === 64 ? 64 : 32}`, x.read(1), truncate));
	return [
		conversion(
			`CVTSI2${upper}`,
			`Convert an integer to scalar ${words} precision`,
			scalarLines(prefix, "2A", `V${kind}, H${kind}, Ey`, feature),
			(x) => x.writeScalar(x.float(`si2${kind}${source(x).width === 64 ? 64 : 32}`, source(x))),
		),
		conversion(
			`CVT${upper}2SI`,
			`Convert scalar ${words} precision to an integer`,
			scalarLines(prefix, "2D", `Gy, W${kind}`, feature),
			toInteger(ROUND as 0),
		),
		conversion(
			`CVTT${upper}2SI`,
			`Convert scalar ${words} precision to an integer, truncated`,
			scalarLines(prefix, "2C", `Gy, W${kind}`, feature),
			toInteger(TRUNCATE as 1),
		),
	];
});

/** With MMX registers. A source in memory leaves the x87 FPU alone: measured, and SDM 2A CVTPI2PD. */
function mmxSource(
	name: string,
	title: string,
	prefix: string,
	to: "Vq" | "Vx",
	feature: Feature,
	result: FloatFunction,
) {
	return family(name, title, {
		forms: [
			[`${prefix} 0F 2A /r`, `${to}, Nq`, { feature }],
			[`${prefix} 0F 2A /r`, `${to}, Mq`, { feature }],
		],
		meaning: (x) => {
			const value = x.read(1);
			if (result === "dq2pd") x.writeVector(0, x.float(result, value));
			else x.writeVector(0, x.float("dq2ps", value.zext(128)).trunc(64));
		},
	});
}

export const CVTPI2PS = mmxSource(
	"CVTPI2PS",
	"Convert packed doublewords to single precision",
	"NP",
	"Vq",
	"sse",
	"dq2ps",
);
export const CVTPI2PD = mmxSource(
	"CVTPI2PD",
	"Convert packed doublewords to double precision",
	"66",
	"Vx",
	"sse2",
	"dq2pd",
);

export const CVTPS2PI = ([0, 1] as const).map((truncate) =>
	family(truncate ? "CVTTPS2PI" : "CVTPS2PI", "Convert packed single precision to doublewords in an MMX register", {
		forms: [[`NP 0F ${truncate ? "2C" : "2D"} /r`, "Pq, Wq", { feature: "sse" }]],
		meaning: (x) => x.writeVector(0, x.float("ps2dq", x.read(1).zext(128), truncate).trunc(64)),
	}),
);
export const CVTPD2PI = ([0, 1] as const).map((truncate) =>
	family(truncate ? "CVTTPD2PI" : "CVTPD2PI", "Convert packed double precision to doublewords in an MMX register", {
		forms: [[`66 0F ${truncate ? "2C" : "2D"} /r`, "Pq, Wx", { feature: "sse2" }]],
		meaning: (x) => x.writeVector(0, x.float("pd2dq", x.read(1), truncate)),
	}),
);

export const VCVTPH2PS = family("VCVTPH2PS", "Convert packed half precision to single", {
	feature: "f16c",
	forms: [
		["VEX.128.66.0F38.W0 13 /r", "Vx, Wq"],
		["VEX.256.66.0F38.W0 13 /r", "Vx, Wdq"],
	],
	meaning: widening("ph2ps"),
});
export const VCVTPS2PH = family("VCVTPS2PH", "Convert packed single precision to half", {
	feature: "f16c",
	forms: [
		["VEX.128.66.0F3A.W0 1D /r ib", "Wq, Vx, Ib"],
		["VEX.256.66.0F3A.W0 1D /r ib", "Wdq, Vx, Ib"],
	],
	meaning: (x) => {
		const half = (n: number): Expr => x.float("ps2ph", x.readHalf(1, n), x.read(2).zext(32));
		const low = half(0);
		if (x.halves === 2) x.writeVector(0, join(low, half(1)));
		else x.writeVector(0, x.isMemory(0) ? low : low.zext(128));
	},
});
