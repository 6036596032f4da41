import { family } from "../family.ts";

/** The destination is a 64-bit register with REX.W, whose upper half becomes 0; 32 bits count (SDM 2A CRC32). */
export const CRC32 = family("CRC32", "Accumulate a cyclic redundancy check", {
	forms: [
		["F2 0F 38 F0 /r", "Gy, Eb"],
		["F2 0F 38 F1 /r", "Gy, Ev"],
	],
	feature: "sse4.2",
	meaning: (x) => {
		const source = x.read(1);
		x.helper("crc32", x.registerNumber(0), source.zext(64), source.width / 8);
	},
});
