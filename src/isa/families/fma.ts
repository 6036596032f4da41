import type { Expr } from "../expr.ts";
import { type Family, family } from "../family.ts";
import type { Semantics } from "../semantics.ts";
import { withLane } from "../vector.ts";

/** Last opcode digit of the packed and scalar forms. */
const OPERATIONS = [
	["FMADDSUB", "Multiply, then add and subtract", 6, undefined],
	["FMSUBADD", "Multiply, then subtract and add", 7, undefined],
	["FMADD", "Multiply and add", 8, 9],
	["FMSUB", "Multiply and subtract", 10, 11],
	["FNMADD", "Multiply, negate and add", 12, 13],
	["FNMSUB", "Multiply, negate and subtract", 14, 15],
] as const;

/** Which operands are multiplied, and which is added. */
const ORDERS = [
	{ name: "132", opcode: 0x90, operands: [0, 2, 1] },
	{ name: "213", opcode: 0xa0, operands: [1, 0, 2] },
	{ name: "231", opcode: 0xb0, operands: [1, 2, 0] },
] as const;

type Order = (typeof ORDERS)[number]["operands"];

function packed(x: Semantics, order: Order, result: (a: Expr, b: Expr, c: Expr) => Expr): void {
	const [a, b, c] = order;
	const half = (n: number): Expr => result(x.readHalf(a, n), x.readHalf(b, n), x.readHalf(c, n));
	x.writeVector(0, half(0), x.halves === 2 ? half(1) : undefined);
}

/** VFMADD132PS … VFNMSUB231SD (FMA3). The rest of a scalar's destination stays as it is. */
export const FMA: readonly Family[] = OPERATIONS.flatMap(([name, title, packedDigit, scalarDigit]) =>
	ORDERS.flatMap(({ name: order, opcode, operands }) =>
		(["W0", "W1"] as const).flatMap((w) => {
			const code = (digit: number): string => (opcode + digit).toString(16).toUpperCase();
			const op = name.toLowerCase() as Lowercase<typeof name>;
			const [p, s] = w === "W0" ? (["ps", "ss"] as const) : (["pd", "sd"] as const);
			const families = [
				family(`V${name}${order}${p.toUpperCase()}`, title, {
					feature: "fma",
					forms: [
						[`VEX.128.66.0F38.${w} ${code(packedDigit)} /r`, "Vx, Hx, Wx"],
						[`VEX.256.66.0F38.${w} ${code(packedDigit)} /r`, "Vx, Hx, Wx"],
					],
					meaning: (x) => packed(x, operands, (a, b, c) => x.float(`${op}_${p}`, a, b, c)),
				}),
			];
			if (scalarDigit !== undefined && op !== "fmaddsub" && op !== "fmsubadd") {
				families.push(
					family(`V${name}${order}${s.toUpperCase()}`, title, {
						feature: "fma",
						forms: [[`VEX.LIG.66.0F38.${w} ${code(scalarDigit)} /r`, `V${s}, H${s}, W${s}`]],
						meaning: (x) => {
							const [a, b, c] = operands;
							const value = x.float(`${op}_${s}`, x.read(a), x.read(b), x.read(c));
							x.writeVector(0, withLane(x.readWhole(0), s === "ss" ? 32 : 64, 0, value));
						},
					}),
				);
			}
			return families;
		}),
	),
);
