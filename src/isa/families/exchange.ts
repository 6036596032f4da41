import { family } from "../family.ts";
import { RAX, RBX, RCX, RDX } from "../registers.ts";

export const XCHG = family("XCHG", "Exchange", {
	forms: [
		["86 /r", "Eb, Gb"],
		["87 /r", "Ev, Gv"],
		["90+r", "Zv, rAX"],
	],
	lock: true,
	lockImplied: true,
	meaning: (x) => {
		const [a, b] = [x.read(0), x.read(1)];
		x.write(0, b);
		x.write(1, a);
	},
});

export const XADD = family("XADD", "Exchange and add", {
	forms: [
		["0F C0 /r", "Eb, Gb"],
		["0F C1 /r", "Ev, Gv"],
	],
	lock: true,
	meaning: (x) => {
		const [a, b] = [x.read(0), x.read(1)];
		// The sum last: it stays where both operands are one register.
		x.write(1, a);
		x.write(0, a.add(b));
		x.flags("add", a, b);
	},
});

export const CMPXCHG = family("CMPXCHG", "Compare and exchange", {
	forms: [
		["0F B0 /r", "Eb, Gb"],
		["0F B1 /r", "Ev, Gv"],
	],
	lock: true,
	meaning: (x) => {
		const [value, source] = [x.read(0), x.read(1)];
		const accumulator = x.register(RAX, value.width);
		const equal = accumulator.eq(value);
		// Memory is stored to either way (SDM 2A CMPXCHG); a register is not touched, its upper half included.
		if (x.isMemory(0)) x.write(0, equal.select(source, value));
		else x.write(0, source, equal);
		// It is written only where it differs: of 64 bits the upper half stays otherwise.
		if (value.width === 32) x.setRegister(RAX, equal.select(x.register(RAX, 64), value.zext(64)));
		else x.setRegister(RAX, equal.select(accumulator, value));
		x.flags("sub", accumulator, value);
	},
});

/** #GP(0) unless memory is aligned to 16 bytes: the helper's. */
export const CMPXCHG16B = family("CMPXCHG16B", "Compare and exchange 16 bytes", {
	forms: [["REX.W 0F C7 /1", "M"]],
	feature: "cx16",
	lock: true,
	helperFlags: { writes: ["zf"] },
	meaning: (x) => x.helper("compareExchange16", x.segment(), x.effectiveAddress()),
});

export const CMPXCHG8B = family("CMPXCHG8B", "Compare and exchange 8 bytes", {
	forms: [["0F C7 /1", "Mq"]],
	feature: "cx8",
	lock: true,
	meaning: (x) => {
		const value = x.read(0);
		const expected = x.register(RDX, 32).zext(64).shl(32).or(x.register(RAX, 32).zext(64));
		const replacement = x.register(RCX, 32).zext(64).shl(32).or(x.register(RBX, 32).zext(64));
		const equal = expected.eq(value);
		x.write(0, equal.select(replacement, value));
		for (const [register, part] of [
			[RAX, value.trunc(32)],
			[RDX, value.shrU(32).trunc(32)],
		] as const)
			x.setRegister(register, equal.select(x.register(register, 64), part.zext(64)));
		x.setFlags({ zf: equal });
	},
});
