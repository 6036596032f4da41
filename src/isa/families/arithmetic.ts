import { constant, type Expr } from "../expr.ts";
import { type FormLine, family } from "../family.ts";
import type { Semantics } from "../semantics.ts";

/** The eight forms that ADD, OR, ADC, SBB, AND, SUB, XOR and CMP share, and the immediate ones of group 1. */
function binaryForms(base: number, digit: number): FormLine[] {
	const hex = (offset: number): string => (base + offset).toString(16).toUpperCase().padStart(2, "0");
	return [
		[`${hex(0)} /r`, "Eb, Gb"],
		[`${hex(1)} /r`, "Ev, Gv"],
		[`${hex(2)} /r`, "Gb, Eb"],
		[`${hex(3)} /r`, "Gv, Ev"],
		[`${hex(4)} ib`, "AL, Ib"],
		[`${hex(5)} iz`, "rAX, Iz"],
		[`80 /${digit} ib`, "Eb, Ib"],
		[`81 /${digit} iz`, "Ev, Iz"],
		[`82 /${digit} ib`, "Eb, Ib", { mode: "i64" }],
		[`83 /${digit} ib`, "Ev, sIb"],
	];
}

/** Carry out of every bit of a sum. */
function carries(a: Expr, b: Expr, sum: Expr): Expr {
	return a.and(b).or(a.or(b).and(sum.not()));
}

/** Borrow out of every bit of a difference. */
function borrows(a: Expr, b: Expr, difference: Expr): Expr {
	return a.not().and(b).or(a.not().or(b).and(difference));
}

export const ADD = family("ADD", "Add", {
	forms: binaryForms(0x00, 0),
	lock: true,
	meaning: (x) => {
		const [a, b] = [x.read(0), x.read(1)];
		x.write(0, a.add(b));
		x.flags("add", a, b);
	},
});

export const ADC = family("ADC", "Add with carry", {
	forms: binaryForms(0x10, 2),
	lock: true,
	meaning: (x) => {
		const [a, b] = [x.read(0), x.read(1)];
		const sum = a.add(b).add(x.flag("cf").zext(a.width));
		x.write(0, sum);
		x.flags("carry", sum, carries(a, b, sum));
	},
});

/** ADD with one flag for carry in and out: the others stay. */
function addChained(flag: "cf" | "of") {
	return (x: Semantics): void => {
		const [a, b] = [x.read(0), x.read(1)];
		const sum = a.add(b).add(x.flag(flag).zext(a.width));
		x.write(0, sum);
		x.setFlags({ [flag]: carries(a, b, sum).sign() });
	};
}

export const ADCX = family("ADCX", "Add with carry flag", {
	forms: [["66 0F 38 F6 /r", "Gy, Ey"]],
	feature: "adx",
	meaning: addChained("cf"),
});

export const ADOX = family("ADOX", "Add with overflow flag", {
	forms: [["F3 0F 38 F6 /r", "Gy, Ey"]],
	feature: "adx",
	meaning: addChained("of"),
});

export const SBB = family("SBB", "Subtract with borrow", {
	forms: binaryForms(0x18, 3),
	lock: true,
	meaning: (x) => {
		const [a, b] = [x.read(0), x.read(1)];
		const difference = a.sub(b).sub(x.flag("cf").zext(a.width));
		x.write(0, difference);
		x.flags("carry", difference, borrows(a, b, difference));
	},
});

export const SUB = family("SUB", "Subtract", {
	forms: binaryForms(0x28, 5),
	lock: true,
	meaning: (x) => {
		const [a, b] = [x.read(0), x.read(1)];
		x.write(0, a.sub(b));
		x.flags("sub", a, b);
	},
});

export const CMP = family("CMP", "Compare", {
	forms: binaryForms(0x38, 7),
	meaning: (x) => {
		x.flags("sub", x.read(0), x.read(1));
	},
});

function logic(operation: (a: Expr, b: Expr) => Expr) {
	return (x: Semantics): void => {
		const result = operation(x.read(0), x.read(1));
		x.write(0, result);
		x.flags("logic", result);
	};
}

export const OR = family("OR", "Bitwise or", {
	forms: binaryForms(0x08, 1),
	lock: true,
	undefined: ["af"],
	meaning: logic((a, b) => a.or(b)),
});

export const AND = family("AND", "Bitwise and", {
	forms: binaryForms(0x20, 4),
	lock: true,
	undefined: ["af"],
	meaning: logic((a, b) => a.and(b)),
});

export const XOR = family("XOR", "Bitwise exclusive or", {
	forms: binaryForms(0x30, 6),
	lock: true,
	undefined: ["af"],
	meaning: logic((a, b) => a.xor(b)),
});

export const TEST = family("TEST", "Logical compare", {
	forms: [
		["84 /r", "Eb, Gb"],
		["85 /r", "Ev, Gv"],
		["A8 ib", "AL, Ib"],
		["A9 iz", "rAX, Iz"],
		["F6 /0 ib", "Eb, Ib"],
		["F6 /1 ib", "Eb, Ib"],
		["F7 /0 iz", "Ev, Iz"],
		["F7 /1 iz", "Ev, Iz"],
	],
	undefined: ["af"],
	meaning: (x) => x.flags("logic", x.read(0).and(x.read(1))),
});

export const INC = family("INC", "Increment by 1", {
	forms: [
		["FE /0", "Eb"],
		["FF /0", "Ev"],
		["40+r", "Zv", { mode: "i64" }],
	],
	lock: true,
	meaning: (x) => {
		const result = x.read(0).add(1);
		x.write(0, result);
		x.flags("inc", result, x.flag("cf").zext(32));
	},
});

export const DEC = family("DEC", "Decrement by 1", {
	forms: [
		["FE /1", "Eb"],
		["FF /1", "Ev"],
		["48+r", "Zv", { mode: "i64" }],
	],
	lock: true,
	meaning: (x) => {
		const result = x.read(0).sub(1);
		x.write(0, result);
		x.flags("dec", result, x.flag("cf").zext(32));
	},
});

export const NEG = family("NEG", "Two's complement negation", {
	forms: [
		["F6 /3", "Eb"],
		["F7 /3", "Ev"],
	],
	lock: true,
	meaning: (x) => {
		const a = x.read(0);
		x.write(0, a.neg());
		x.flags("sub", constant(a.width, 0), a);
	},
});

export const NOT = family("NOT", "One's complement negation", {
	forms: [
		["F6 /2", "Eb"],
		["F7 /2", "Ev"],
	],
	lock: true,
	meaning: (x) => x.write(0, x.read(0).not()),
});
