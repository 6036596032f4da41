import { FALSE } from "../expr.ts";
import { family } from "../family.ts";
import { RELATION } from "../float.ts";
import { FLOAT_KINDS, floatBinary } from "../float-families.ts";

/** Eight predicates without VEX, 32 with it; the other bits of the immediate are ignored. */
export const CMP = FLOAT_KINDS.map((kind) =>
	floatBinary(kind, "CMP", "Compare", { opcode: "0F C2 /r ib", more: ", Ib" }, (x, a, b) => {
		const predicate = x
			.read(x.operands.length - 1)
			.zext(32)
			.and(x.vex ? 31 : 7);
		return x.float(`cmp_${kind}`, a, b, predicate);
	}),
);

const compare = (name: string, title: string, opcode: string, signaling: 0 | 1) =>
	(["ss", "sd"] as const).map((kind) => {
		const prefix = kind === "ss" ? "NP" : "66";
		const operands = `V${kind}, W${kind}`;
		return family(`${name}${kind.toUpperCase()}`, title, {
			aliases: [`V${name}${kind.toUpperCase()}`],
			forms: [
				[`${prefix} 0F ${opcode} /r`, operands, { feature: kind === "ss" ? "sse" : "sse2" }],
				[`VEX.LIG.${prefix}.0F.WIG ${opcode} /r`, operands, { feature: "avx" }],
			],
			meaning: (x) => {
				const relation = x.float(`relation_${kind}`, x.read(0), x.read(1), signaling);
				const holds = (...relations: number[]) => relation.and(relations.reduce((all, one) => all | one)).ne(0);
				const { equal, less, unordered } = RELATION;
				x.setFlags({
					cf: holds(less, unordered),
					pf: holds(unordered),
					af: FALSE,
					zf: holds(equal, unordered),
					sf: FALSE,
					of: FALSE,
				});
			},
		});
	});

export const UCOMIS = compare("UCOMI", "Compare scalars, QNaNs quietly, and set EFLAGS", "2E", 0);
export const COMIS = compare("COMI", "Compare scalars and set EFLAGS", "2F", 1);
