import { family } from "../family.ts";

/** Rights depend on CPL, IOPL and the I/O permission bitmap (SDM 1 19.5): the helper's. */
export const IN = family("IN", "Input from port", {
	forms: [
		["E4 ib", "AL, Ib"],
		["E5 ib", "eAX, Ib"],
		["EC", "AL, DX"],
		["ED", "eAX, DX"],
	],
	ends: true,
	meaning: (x) => x.helper("in", x.read(1).zext(32), x.width(0) / 8),
});

export const OUT = family("OUT", "Output to port", {
	forms: [
		["E6 ib", "Ib, AL"],
		["E7 ib", "Ib, eAX"],
		["EE", "DX, AL"],
		["EF", "DX, eAX"],
	],
	ends: true,
	meaning: (x) => x.helper("out", x.read(0).zext(32), x.width(1) / 8),
});
